{{/* Of an object that is there for one event only; weights below 0 come before the DaemonSets, above 0 after. */}}
{{- define "shoal.hook.annotations" -}}
helm.sh/hook: {{ .event }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* A DaemonSet that does something once on the nodes of a pool: its init container's work, after which the pod is ready. */}}
{{- define "shoal.hook.daemonset" -}}
{{- $name := include "shoal.poolName" (merge (dict "suffix" .component) .) -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  {{- include "shoal.metadata" (merge (dict "name" $name) .) | nindent 2 }}
  annotations:
    {{- include "shoal.hook.annotations" (merge (dict "weight" 0) .) | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "shoal.selectorLabels" . | nindent 6 }}
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 100%
  template:
    metadata:
      labels:
        {{- include "shoal.labels" . | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      # Nothing is sent; a node whose pod network does not work is served too.
      hostNetwork: true
      priorityClassName: {{ .agent.priorityClassName }}
      terminationGracePeriodSeconds: 5
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml .agent.podSecurityContext | nindent 8 }}
      nodeSelector:
        {{- toYaml .agent.nodeSelector | nindent 8 }}
      tolerations:
        - operator: Exists
      {{- with .agent.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .work }}
      initContainers:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        - name: stay
          {{- include "shoal.hook.container" . | nindent 10 }}
          args: [stay]
      {{- with .volumes }}
      volumes:
        {{- . | nindent 8 }}
      {{- end }}
{{- end }}

{{/* What containers of hooks have in common: no rights, and little of the node. */}}
{{- define "shoal.hook.container" -}}
image: {{ include "shoal.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
resources:
  requests:
    cpu: 5m
    memory: 64Mi
securityContext:
  {{- include "shoal.hardening" . | nindent 2 }}
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Of a pod that is not on every node, and asks the API: (dict "root" $ "name" <its account>). */}}
{{- define "shoal.onePod" -}}
serviceAccountName: {{ .name }}
enableServiceLinks: false
hostNetwork: true
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  seccompProfile:
    type: RuntimeDefault
nodeSelector:
  kubernetes.io/os: linux
tolerations:
  {{- toYaml .root.Values.hooks.tolerations | nindent 2 }}
{{- end }}

{{/* A pod that ends when each of the DaemonSets has a ready pod on every node. Helm waits for it, and for no DaemonSet. */}}
{{- define "shoal.hook.await" -}}
apiVersion: v1
kind: Pod
metadata:
  {{- include "shoal.metadata" . | nindent 2 }}
  annotations:
    {{- include "shoal.hook.annotations" (merge (dict "weight" 5) .) | nindent 4 }}
spec:
  {{- include "shoal.onePod" . | nindent 2 }}
  restartPolicy: Never
  containers:
    {{- range .daemonSets }}
    - name: {{ . }}
      {{- include "shoal.hook.container" $ | nindent 6 }}
      args:
        - await-daemonset
        - --daemonset={{ include "shoal.namespace" $.root }}/{{ . }}
        {{- /* A number of milliseconds is a float, which from a million on is written as 1e+06. */}}
        - --timeout={{ kindIs "string" $.timeout | ternary $.timeout (int64 $.timeout) }}
        {{- if $.goOn }}
        - --or-go-on
        {{- end }}
    {{- end }}
{{- end }}

{{/* The right to do so: an account that may read these DaemonSets, and nothing else. */}}
{{- define "shoal.hook.rights" -}}
{{- $annotations := "" }}
{{- if .event }}{{ $annotations = include "shoal.hook.annotations" (merge (dict "weight" -5) .) }}{{ end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "shoal.metadata" . | nindent 2 }}
  {{- with $annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
{{- if .root.Values.rbac.create }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "shoal.metadata" . | nindent 2 }}
  {{- with $annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
rules:
  - apiGroups: [apps]
    resources: [daemonsets]
    resourceNames:
      {{- toYaml .daemonSets | nindent 6 }}
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "shoal.metadata" . | nindent 2 }}
  {{- with $annotations }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ include "shoal.namespace" .root }}
{{- end }}
{{- end }}
