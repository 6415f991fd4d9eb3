{{- define "suture.name" -}}
{{- printf "%s-%s" .release .component | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "suture.selector" -}}
app.kubernetes.io/name: suture
app.kubernetes.io/instance: {{ .release }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "suture.labels" -}}
{{ include "suture.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "suture.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* No container gets more than this; the group 10002 is the SuperNode's */}}
{{- define "suture.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
supplementalGroups: [10002]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "suture.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
privileged: false
capabilities:
  drop: [ALL]
{{- end -}}

{{/* A health check: the same command at the start, which may take long, and later */}}
{{- define "suture.probes" -}}
{{- include "suture.probesApart" (dict "live" . "ready" .) -}}
{{- end -}}

{{/* What fails "live" is restarted, and what it was doing is lost: it asks nobody but the container itself */}}
{{- define "suture.probesApart" -}}
startupProbe:
  exec:
    command: {{ toJson .live }}
  periodSeconds: 10
  timeoutSeconds: 20
  failureThreshold: 36
livenessProbe:
  exec:
    command: {{ toJson .live }}
  periodSeconds: 30
  timeoutSeconds: 20
  failureThreshold: 3
readinessProbe:
  exec:
    command: {{ toJson .ready }}
  periodSeconds: 30
  timeoutSeconds: 20
{{- end -}}

{{- define "suture.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "suture.name" . }}
  labels:
    {{- include "suture.labels" . | nindent 4 }}
  annotations:
    # Keys, register and logbook lie there: losing them costs more than a disk
    helm.sh/resource-policy: keep
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storage.className }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .storage.size | quote }}
{{- end -}}
