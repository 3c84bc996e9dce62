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
