import type { DewyEvent } from "../core/event.ts";

export type GatewayMetrics = ReturnType<typeof gatewayMetrics>;

const COUNTERS = {
  dewy_gateway_upstream_polls_total: "Polls that the upstream registry answered",
  dewy_gateway_upstream_failures_total: "Polls that the upstream registry did not answer",
  dewy_gateway_questions_total: "Version requests from clients, whatever the answer",
  dewy_gateway_stale_answers_total: "Old answers served while the upstream registry failed",
  dewy_gateway_reports_total: "Reports of deploys",
  dewy_gateway_failed_deploys_total: "Reports of deploys that failed",
  dewy_gateway_downloads_total: "Downloads, complete or not",
  dewy_gateway_download_bytes_total: "Bytes of artifacts sent",
} as const;

/** Counts a gateway's events. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
export function gatewayMetrics() {
  const values = new Map<keyof typeof COUNTERS, number>();
  const add = (name: keyof typeof COUNTERS, by = 1): void => {
    values.set(name, (values.get(name) ?? 0) + by);
  };
  return {
    sink: (event: DewyEvent) => {
      switch (event.type) {
        case "upstream-polled":
          return add("dewy_gateway_upstream_polls_total");
        case "upstream-failed":
          return add("dewy_gateway_upstream_failures_total");
        case "version-asked":
          if (event.isStale) add("dewy_gateway_stale_answers_total");
          return add("dewy_gateway_questions_total");
        case "deploy-reported":
          if (event.error !== undefined) add("dewy_gateway_failed_deploys_total");
          return add("dewy_gateway_reports_total");
        case "artifact-sent":
          add("dewy_gateway_download_bytes_total", event.bytes);
          return add("dewy_gateway_downloads_total");
      }
    },
    text: () =>
      Object.entries(COUNTERS)
        .map(([name, help]) => {
          const value = values.get(name as keyof typeof COUNTERS) ?? 0;
          return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${name} ${value}\n`;
        })
        .join(""),
  };
}
