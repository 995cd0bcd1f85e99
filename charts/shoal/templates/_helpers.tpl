{{- define "shoal.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The beginning of all names; room is left for what follows it: of a container, which has 63 characters, `-cleanup-<pool>`. */}}
{{- define "shoal.fullname" -}}
{{- $name := include "shoal.name" . }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 38 | trimSuffix "-" }}
{{- end }}

{{- define "shoal.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* What a selector may hold: it can not be changed later. Called with (dict "root" $ "component" "agent"). */}}
{{- define "shoal.selectorLabels" -}}
app.kubernetes.io/name: {{ include "shoal.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
shoal/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "shoal.labels" -}}
{{ include "shoal.selectorLabels" . }}
app.kubernetes.io/part-of: {{ include "shoal.name" .root }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name, namespace and labels of an object. Called with (dict "root" $ "component" … "name" …). */}}
{{- define "shoal.metadata" -}}
name: {{ .name }}
namespace: {{ include "shoal.namespace" .root }}
labels:
  {{- include "shoal.labels" . | nindent 2 }}
{{- end }}

{{- define "shoal.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/* How every container of Shoal's begins, unless values say something else; runAsUser is added. */}}
{{- define "shoal.hardening" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
{{- end }}

{{/* The name of a pool's objects: (dict "root" $ "pool" "" "suffix" "agent"). */}}
{{- define "shoal.poolName" -}}
{{- printf "%s-%s" (include "shoal.fullname" .root) .suffix }}{{ with .pool }}-{{ . }}{{ end }}
{{- end }}

{{/* One for each DaemonSet of agents, as YAML under `pools`: its name in `pool`, and in `agent` the values that hold for it. */}}
{{- define "shoal.pools" -}}
pools:
  {{- range $pool, $overrides := .Values.pools | default (dict "" dict) }}
  - pool: {{ $pool | quote }}
    agent:
      {{- toYaml (mustMergeOverwrite (deepCopy $.Values.agent) (deepCopy $overrides)) | nindent 6 }}
  {{- end }}
{{- end }}

{{- define "shoal.resourceQuota" -}}
apiVersion: v1
kind: ResourceQuota
metadata:
  {{- include "shoal.metadata" . | nindent 2 }}
  {{- if .event }}
  annotations:
    {{- include "shoal.hook.annotations" (merge (dict "weight" -5) .) | nindent 4 }}
  {{- end }}
spec:
  # As many as there are nodes: what counts is that there is one, for a namespace without may have no pods of this class.
  hard:
    pods: 1G
  scopeSelector:
    matchExpressions:
      - scopeName: PriorityClass
        operator: In
        {{- $classes := list .root.Values.agent.priorityClassName }}
        {{- range (include "shoal.pools" .root | fromYaml).pools }}
        {{- $classes = append $classes .agent.priorityClassName }}
        {{- end }}
        values: [{{ uniq $classes | join ", " }}]
{{- end }}
