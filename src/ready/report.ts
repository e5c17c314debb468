import { RedlockError } from "../errors.ts";
import type { Finding } from "./findings.ts";

/** What `ready()` reports about one master. Durations are milliseconds. */
export interface NodeReport {
  /** `host:port`. */
  readonly node: string;
  /** Whether the master can vote, now or after its quarantine. */
  readonly eligible: boolean;
  /** Whether the master votes now: false when it is not eligible, is in quarantine, or has no guard yet. */
  readonly votes: boolean;
  /** How long the master gives no vote yet; `undefined` when it votes, and when that is not known. */
  readonly quarantine: number | undefined;
  /** "Redis 7.4.1". */
  readonly server: string | undefined;
  readonly uptime: number | undefined;
  readonly roundTrip: number | undefined;
  /** By how much its clock is ahead of ours. */
  readonly clockOffset: number | undefined;
}

/** The result of {@link Redlock.ready}. */
export interface ReadyReport {
  readonly nodes: readonly NodeReport[];
  /** Fatal ones first, then in the order of the masters. */
  readonly findings: readonly Finding[];
  /** How many masters a lock needs. */
  readonly quorum: number;
}

/** The lock masters cannot be used as they are. */
export class NotReadyError extends RedlockError {
  override readonly name = "NotReadyError";
  readonly code = "ERR_REDLOCK_NOT_READY";
  readonly report: ReadyReport;

  constructor(report: ReadyReport) {
    const found = report.findings.filter(isFatal).map(describeFinding).join("; ");
    super(
      `nodes: found ${found}, expected nothing fatal, and ${report.quorum} or more masters that can vote (docs/ready.md says what to do)`,
    );
    this.report = report;
  }
}

/** Whether a finding makes `ready()` throw. */
export function isFatal({ severity }: Finding): boolean {
  return severity === "fatal";
}

function describeFinding({ code, node, found }: Finding): string {
  return `${code}${node === undefined ? "" : ` (${node})`}: ${found}`;
}
