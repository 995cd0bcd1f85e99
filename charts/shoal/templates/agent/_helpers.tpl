{{- define "shoal.agent.name" -}}
{{ include "shoal.fullname" . }}-agent
{{- end }}

{{- define "shoal.agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "shoal.agent.name" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "shoal.clusterSecretName" -}}
{{- default (printf "%s-cluster" (include "shoal.fullname" .)) .Values.clusterSecret.existingSecret }}
{{- end }}

{{/* The port of a listener: (list $agent.config "peersListen" 5051). */}}
{{- define "shoal.agent.port" -}}
{{- $listen := get (index . 0) (index . 1) }}
{{- if $listen }}{{ regexFind "[0-9]+$" $listen }}{{ else }}{{ index . 2 }}{{ end }}
{{- end }}

{{/* Are health and metrics on loopback? So they are unless somebody asks for more. */}}
{{- define "shoal.agent.opsOnLoopback" -}}
{{- $asked := ternary "[$(POD_IP)]:5053" "127.0.0.1:5053" .root.Values.serviceMonitor.enabled }}
{{- $onLoopback := regexMatch "^(127[.]|localhost:|\\[::1\\])" (.agent.config.opsListen | default $asked) }}
{{- if and $onLoopback .root.Values.serviceMonitor.enabled }}
{{- fail "serviceMonitor.enabled: Prometheus does not reach agent.config.opsListen on loopback; leave it out, or give another address" }}
{{- end }}
{{- $onLoopback }}
{{- end }}

{{/* A time as options have it: `25s`, or a number of milliseconds. */}}
{{- define "shoal.milliseconds" -}}
{{- $factor := get (dict "s" 1000 "m" 60000 "h" 3600000) (regexFind "[a-z]+$" (toString .)) | default 1 }}
{{- mulf (regexFind "^[0-9.]+" (toString .) | float64) $factor | int64 }}
{{- end }}

{{/* Does the agent read its Node? Kubernetes 1.35 and newer label the pod with the zone and region of its Node (KEP-4742). */}}
{{- define "shoal.agent.readsNode" -}}
{{- $auto := semverCompare "<1.35.0-0" .Capabilities.KubeVersion.Version }}
{{- $reads := eq (toString .Values.topology.readNode) "true" }}
{{- if or $reads (and $auto (eq (toString .Values.topology.readNode) "auto")) }}true{{ end }}
{{- end }}

{{/* Addresses of the cluster's DNS servers, comma-separated; empty where none is known. */}}
{{- define "shoal.dnsServers" -}}
{{- $servers := .Values.clusterDns.servers }}
{{- if not $servers }}
{{- range (lookup "v1" "Service" "kube-system" "").items }}
{{- if eq (dig "metadata" "labels" "k8s-app" "" .) "kube-dns" }}
{{- $servers = concat $servers (without .spec.clusterIPs "None") }}
{{- end }}
{{- end }}
{{- end }}
{{- $servers | uniq | join "," }}
{{- end }}

{{/* The config file of a pool's agents; what the values say goes before what the chart sets. */}}
{{- define "shoal.agent.config" -}}
{{- $config := dict }}
{{- if not .agent.config.standalone }}
{{- $service := include "shoal.agent.name" .root }}
{{- $port := include "shoal.agent.port" (list .agent.config "clusterListen" 5052) }}
{{- $name := printf "%s.%s.svc.%s:%s" $service (include "shoal.namespace" .root) .root.Values.clusterDomain $port }}
{{- $_ := set $config "seedsDns" $name }}
{{- with include "shoal.dnsServers" .root }}
{{- $_ := set $config "seedsDnsServers" (splitList "," .) }}
{{- end }}
{{- $_ := set $config "clusterSecretFile" "/etc/shoal/secret/cluster-secret" }}
{{- if .root.Values.clusterSecret.previousKey }}
{{- $_ := set $config "previousClusterSecretFile" "/etc/shoal/secret/previous-cluster-secret" }}
{{- end }}
{{- end }}
{{- $config := merge (deepCopy .agent.config) $config }}
{{- range $option, $value := $config }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $config $option }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}
