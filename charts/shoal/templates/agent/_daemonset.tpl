{{- define "shoal.agent.daemonset" -}}
{{- $name := include "shoal.poolName" (merge (dict "suffix" "agent") .) }}
{{- $config := .agent.config }}
{{- $stopMs := include "shoal.milliseconds" ($config.shutdownTimeoutMs | default "25s") }}
{{- if le (mul .agent.terminationGracePeriodSeconds 1000) ($stopMs | int64) }}
{{- fail (printf "agent.terminationGracePeriodSeconds: %v must be more than agent.config.shutdownTimeoutMs, which is %v ms" .agent.terminationGracePeriodSeconds $stopMs) }}
{{- end }}
{{- $labels := merge (dict "name" $name) . -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  {{- include "shoal.metadata" $labels | nindent 2 }}
  {{- with .agent.daemonsetAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  revisionHistoryLimit: {{ .agent.revisionHistoryLimit }}
  updateStrategy:
    {{- toYaml .agent.updateStrategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "shoal.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "shoal.labels" . | nindent 8 }}
        {{- with .agent.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "shoal.agent.config" . | sha256sum }}
        {{- with .agent.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "shoal.agent.serviceAccountName" .root }}
      automountServiceAccountToken: {{ or .root.Values.events.enabled (eq (include "shoal.agent.readsNode" .root) "true") }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .agent.terminationGracePeriodSeconds }}
      {{- include "shoal.agent.place" . | nindent 6 }}
      tolerations:
        {{- toYaml .agent.tolerations | nindent 8 }}
      {{- if or .agent.configure .agent.extraInitContainers }}
      initContainers:
        {{- if .agent.configure }}
        {{- include "shoal.agent.configureContainer" . | nindent 8 }}
        {{- end }}
        {{- with .agent.extraInitContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      containers:
        {{- include "shoal.agent.container" . | nindent 8 }}
      volumes:
        {{- include "shoal.agent.volumes" . | nindent 8 }}
{{- end }}

{{/* On which nodes, in whose network, and with what around the containers. */}}
{{- define "shoal.agent.place" -}}
hostNetwork: true
# Registries resolve as the node resolves them. The other agents' name is asked of the cluster's DNS servers directly.
dnsPolicy: {{ ternary "Default" "ClusterFirstWithHostNet" (ne (include "shoal.dnsServers" .root) "") }}
priorityClassName: {{ .agent.priorityClassName }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .agent.podSecurityContext | nindent 2 }}
nodeSelector:
  {{- toYaml .agent.nodeSelector | nindent 2 }}
{{- with .agent.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Directories of the node come with whatever is in them; kubelet makes those that are not there. */}}
{{- define "shoal.agent.volumes" -}}
{{- $config := .agent.config -}}
- name: config
  configMap:
    name: {{ include "shoal.poolName" (merge (dict "suffix" "agent") .) }}
- name: data
  hostPath:
    path: {{ $config.dataDir }}
    type: DirectoryOrCreate
{{- with $config.containerdContentDir }}
- name: content
  hostPath:
    path: {{ . }}
    # containerd 2 makes it at its first pull, which may be this image.
    type: DirectoryOrCreate
{{- end }}
{{- if .agent.configure }}
- name: registries
  hostPath:
    path: {{ $config.containerdRegistryConfigPath }}
    type: DirectoryOrCreate
- name: containerd
  hostPath:
    path: {{ include "shoal.agent.containerdDirectory" . }}
    type: DirectoryOrCreate
{{- end }}
{{- if not $config.standalone }}
- name: cluster-secret
  secret:
    secretName: {{ include "shoal.clusterSecretName" .root }}
    # 0440, for the agent's group.
    defaultMode: 288
    items:
      - key: {{ .root.Values.clusterSecret.key }}
        path: cluster-secret
      {{- with .root.Values.clusterSecret.previousKey }}
      - key: {{ . }}
        path: previous-cluster-secret
      {{- end }}
{{- end }}
{{- with .agent.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where containerd's own configuration is; the whole directory, as its file is replaced when it changes. */}}
{{- define "shoal.agent.containerdDirectory" -}}
{{- dir .agent.config.containerdConfigFile }}
{{- end }}

{{/* What doctor reads of the node, in the agent's container and in that of `helm test`. */}}
{{- define "shoal.agent.volumeMounts" -}}
{{- $config := .agent.config -}}
- name: config
  mountPath: /etc/shoal/config
  readOnly: true
- name: data
  mountPath: {{ $config.dataDir }}
{{- with $config.containerdContentDir }}
- name: content
  mountPath: {{ . }}
  readOnly: true
{{- end }}
{{- if .agent.configure }}
- name: containerd
  mountPath: {{ include "shoal.agent.containerdDirectory" . }}
  readOnly: true
- name: registries
  mountPath: {{ $config.containerdRegistryConfigPath }}
  readOnly: true
{{- end }}
{{- if not $config.standalone }}
- name: cluster-secret
  mountPath: /etc/shoal/secret
  readOnly: true
{{- end }}
{{- with .agent.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Where the agent's options are, and what of them is the node's. */}}
{{- define "shoal.agent.env" -}}
{{- $opsOnLoopback := eq (include "shoal.agent.opsOnLoopback" .) "true" -}}
{{- /* Not an argument, so that `kubectl exec … shoal doctor` has it too. */ -}}
- name: SHOAL_CONFIG
  value: /etc/shoal/config/config.yaml
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- /* The brackets are for IPv6, and do no harm around an IPv4 address. */}}
{{- range $option, $value := dict
    "advertiseAddress" "$(POD_IP)"
    "peersListen" "[$(POD_IP)]:5051"
    "clusterListen" "[$(POD_IP)]:5052"
    "bulkListen" "[$(POD_IP)]:5054"
    "opsListen" (ternary "" "[$(POD_IP)]:5053" $opsOnLoopback) }}
{{- if and $value (not (get $.agent.config $option)) }}
- name: SHOAL_{{ $option | snakecase | upper }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Root, since containerd's directory is root's, and hosts.toml with the node's secret is for root alone. */}}
{{- define "shoal.agent.configureContainer" -}}
- name: configure
  image: {{ include "shoal.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args:
    - configure
    - --config=/etc/shoal/config/config.yaml
    {{- with .agent.securityContext.runAsUser }}
    {{- /* Numbers of values are floats, which from a million on are written as 1e+06. */}}
    - --data-dir-owner={{ int64 . }}
    {{- end }}
  securityContext:
    {{- include "shoal.hardening" . | nindent 4 }}
    runAsUser: 0
    runAsNonRoot: false
    capabilities:
      drop: [ALL]
      # For the data directory, which is the agent's: to read the mirror's CA there, and to give it to the agent at first.
      add: [CHOWN, DAC_OVERRIDE]
  resources:
    {{- toYaml .agent.resources | nindent 4 }}
  volumeMounts:
    - name: config
      mountPath: /etc/shoal/config
      readOnly: true
    - name: data
      mountPath: {{ .agent.config.dataDir }}
    - name: registries
      mountPath: {{ .agent.config.containerdRegistryConfigPath }}
{{- end }}

{{- define "shoal.agent.container" -}}
{{- $config := .agent.config }}
{{- $kube := .root.Capabilities.KubeVersion.Version }}
{{- $opsOnLoopback := eq (include "shoal.agent.opsOnLoopback" .) "true" -}}
- name: agent
  image: {{ include "shoal.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args:
    - agent
    {{- range .agent.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  env:
    {{- include "shoal.agent.env" . | nindent 4 }}
    {{- if include "shoal.agent.readsNode" .root }}
    - name: SHOAL_NODE_NAME
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    {{- else if semverCompare ">=1.35.0-0" $kube }}
    {{- range $option := list "zone" "region" }}
    {{- if not (get $config $option) }}
    - name: SHOAL_{{ $option | upper }}
      valueFrom:
        fieldRef:
          fieldPath: metadata.labels['topology.kubernetes.io/{{ $option }}']
    {{- end }}
    {{- end }}
    {{- end }}
    {{- if .root.Values.events.enabled }}
    {{- range $variable, $field := dict "POD_NAMESPACE" "namespace" "POD_NAME" "name" "POD_UID" "uid" }}
    - name: {{ $variable }}
      valueFrom:
        fieldRef:
          fieldPath: metadata.{{ $field }}
    {{- end }}
    - name: SHOAL_EVENTS_POD
      value: $(POD_NAMESPACE)/$(POD_NAME)/$(POD_UID)
    {{- end }}
    {{- with .agent.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    {{- range $listener, $port := dict "peers" 5051 "cluster" 5052 "bulk" 5054 }}
    - name: {{ $listener }}
      containerPort: {{ include "shoal.agent.port" (list $config (printf "%sListen" $listener) $port) }}
    {{- end }}
    - name: mirror
      containerPort: {{ include "shoal.agent.port" (list $config "mirrorListen" 5050) }}
      hostIP: 127.0.0.1
    - name: ops
      containerPort: {{ include "shoal.agent.port" (list $config "opsListen" 5053) }}
      {{- if $opsOnLoopback }}
      hostIP: 127.0.0.1
      {{- end }}
  {{- range $probe, $path := dict "livenessProbe" "/healthz" "readinessProbe" "/readyz" "startupProbe" "/healthz" }}
  {{ $probe }}:
    httpGet:
      path: {{ $path }}
      port: ops
      {{- if $opsOnLoopback }}
      host: 127.0.0.1
      {{- end }}
    {{- toYaml (get $.agent $probe) | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .agent.securityContext | nindent 4 }}
  resources:
    {{- toYaml .agent.resources | nindent 4 }}
  volumeMounts:
    {{- include "shoal.agent.volumeMounts" . | nindent 4 }}
{{- end }}
