/**
 * Audit records, and the reports of failed deploys: on record in the state until the registry has
 * them, so that neither a failed upload nor a restart loses one.
 *
 * @module
 */
import { DewyError, NotFoundError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import { shorten } from "../core/text.ts";
import type { Deployment } from "../core/types.ts";
import { bestEffort, untilStopped } from "./best_effort.ts";
import type { DeployContext } from "./deployer.ts";
import { reportKey } from "./report_schedule.ts";
import type { DeployState, PendingReport } from "./state.ts";

const MAX_PENDING = 20;
const MAX_ERROR_LENGTH = 4_096;
const SEND_TIMEOUT_MS = 60_000;
/** For all reports of a retry, since the poll waits for it. */
const RETRY_TIMEOUT_MS = 10_000;

/**
 * Makes a report for the caller to add to the state and then send; `undefined` if the registry
 * takes none. Until it is sent, polls leave it alone.
 */
export function newReport(
  { id, tag }: { id: string; tag: string },
  { registry, reports, clock }: DeployContext,
  error?: string,
): PendingReport | undefined {
  if (registry.report === undefined) return undefined;
  const at = new Date(clock.now()).toISOString();
  const failure = error === undefined ? {} : { error: shorten(error, MAX_ERROR_LENGTH) };
  const report = { id, tag, at, nanoseconds: reports.nanoseconds(), ...failure };
  reports.claim(report);
  return report;
}

export function withReport(state: DeployState, report: PendingReport | undefined): DeployState {
  if (report === undefined) return state;
  return { ...state, reports: [...(state.reports ?? []), report].slice(-MAX_PENDING) };
}

function withoutReport(state: DeployState, report: PendingReport): DeployState {
  const left = (state.reports ?? []).filter((one) => reportKey(one) !== reportKey(report));
  return { ...state, reports: left.length === 0 ? undefined : left };
}

/** Reports a deploy, or one that failed with an error. */
export async function reportDeploy(
  release: { id: string; tag: string },
  error: string | undefined,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  const report = newReport(release, context, error);
  if (report === undefined) return;
  await bestEffort(context, "save the report of the deploy", async () => {
    await context.store.update((state) => withReport(state, report));
  });
  await sendReport(report, context, signal);
}

/** Sends a new report. If it cannot be delivered now, polls retry it. */
export async function sendReport(
  report: PendingReport | undefined,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  if (report === undefined) return;
  const timeout = AbortSignal.timeout(SEND_TIMEOUT_MS);
  const error = await deliver(report, context, signal, () => upload(report, context, timeout));
  context.reports.unclaim(report);
  if (error === undefined || isPermanent(error)) return;
  const what = report.error === undefined ? "leave an audit record" : "report the failed deploy";
  const fields = { tag: report.tag, error: messageOf(error) };
  context.emit({ type: "warning", message: `Cannot ${what}; it will be retried`, fields });
}

/** Sends the reports that could not be delivered, the oldest first, until one fails again. */
export async function retryReports(context: DeployContext, signal: AbortSignal): Promise<void> {
  const { store, registry, reports, clock } = context;
  const pending = (await store.load()).reports ?? [];
  const due = pending.filter((report) => !reports.isClaimed(report));
  if (due.length === 0 || !reports.isDue(clock.monotonic())) return;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(RETRY_TIMEOUT_MS)]);
  for (const report of due) {
    const error = await deliver(report, context, limit, async () => {
      // Since the deploy, the release may have been deleted, or dewy configured for another registry.
      if ((await registry.exists?.(report.tag, { signal: limit })) === false) {
        throw new NotFoundError(`The registry no longer has ${report.tag}`);
      }
      await upload(report, context, limit);
    });
    if (error !== undefined && !isPermanent(error)) return;
  }
}

/** Returns the error if the report was not delivered. */
async function deliver(
  report: PendingReport,
  context: DeployContext,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<unknown> {
  const { reports, clock, emit } = context;
  const { tag } = report;
  const isRecord = report.error === undefined;
  try {
    await untilStopped(work(), context, signal);
    reports.delivered(isRecord);
    if (isRecord && context.registry.report !== undefined) emit({ type: "reported", tag });
  } catch (error) {
    if (!isPermanent(error)) {
      reports.postpone(error, clock.monotonic());
      return error;
    }
    const message = isRecord ? "No audit record is left" : "Failed deploy not reported";
    if (reports.isNews(error)) {
      emit({ type: "warning", message, fields: { tag, error: error.message } });
    }
    await forget(report, context);
    return error;
  }
  await forget(report, context);
  return undefined;
}

async function upload(
  report: PendingReport,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  await context.registry.report?.(deploymentOf(report, context), { signal });
}

async function forget(report: PendingReport, context: DeployContext): Promise<void> {
  const { store } = context;
  await bestEffort(context, "remove a report from the state", async () => {
    const { reports = [] } = await store.load();
    if (!reports.some((one) => reportKey(one) === reportKey(report))) return;
    await store.update((state) => withoutReport(state, report));
  });
}

function deploymentOf(
  { id, tag, at, nanoseconds, error }: PendingReport,
  { command, host }: DeployContext,
): Deployment {
  return {
    ...{ id, tag, command, host, at: new Date(at) },
    ...(nanoseconds === undefined ? {} : { nanoseconds }),
    ...(error === undefined ? {} : { error }),
  };
}

/** A missing permission, a deleted release: no retry helps. */
function isPermanent(error: unknown): error is DewyError {
  return error instanceof DewyError && !error.retryable && error.code !== "aborted";
}
