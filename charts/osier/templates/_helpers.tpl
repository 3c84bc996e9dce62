{{/* Labels of everything. Call with the root. */}}
{{- define "osier.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: osier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What selects the pods of a lane. Call with root and lane. */}}
{{- define "osier.selector" -}}
app.kubernetes.io/name: osier
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .lane }}
{{- end }}

{{/* Subjects of a binding, from "group:NAME" and "user:NAME". */}}
{{- define "osier.subjects" -}}
{{- range . }}
{{- $parts := splitn ":" 2 . }}
- apiGroup: rbac.authorization.k8s.io
  kind: {{ title $parts._0 }}
  name: {{ $parts._1 | quote }}
{{- end }}
{{- end }}

{{/* A lane's service account as a subject. Call with root and lane. */}}
{{- define "osier.account" -}}
- kind: ServiceAccount
  name: osier-{{ .lane }}
  namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- define "osier.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Every pod satisfies the restricted profile of pod security. */}}
{{- define "osier.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "osier.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* /livez and /readyz of every process. */}}
{{- define "osier.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 20
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* Where pods go, from the settings of a lane or of the receiver. Call with root, lane and settings. */}}
{{- define "osier.placement" -}}
{{- with .settings.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
affinity:
  {{- with .settings.affinity }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "osier.selector" . | nindent 12 }}
  {{- end }}
{{- end }}
