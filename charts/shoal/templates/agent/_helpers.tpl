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

{{/* Does the agent read its Node? Kubernetes 1.35 and newer label the pod with the zone and region of its Node (KEP-4742). */}}
{{- define "shoal.agent.readsNode" -}}
{{- $auto := semverCompare "<1.35.0-0" .root.Capabilities.KubeVersion.Version }}
{{- $reads := eq (toString .agent.readNode) "true" }}
{{- if or $reads (and $auto (eq (toString .agent.readNode) "auto")) }}true{{ end }}
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
{{- toYaml (merge (deepCopy .agent.config) $config) }}
{{- end }}
