import { NotReadyError, type ReadyReport } from "../../ready/report.ts";
import { toFindings } from "../../ready/findings.ts";
import { engineOf, RedlockOn } from "../../redlock/redlock.ts";

/** A client of masters in memory: `ready()` has no server to examine. */
export class MemoryRedlock extends RedlockOn {
  /** Reports whether the masters answer. @throws {NotReadyError} while they are unreachable. */
  override async ready(): Promise<ReadyReport> {
    const { nodes, quorum } = await engineOf(this).survey("ready");
    const silent = nodes.filter(({ cause }) => cause !== undefined);
    const findings = toFindings(
      silent.map(({ node, cause = "" }) => ({ code: "unreachable", node, found: cause })),
      { quorumSuffers: nodes.length - silent.length < quorum, strict: false },
    );
    const report: ReadyReport = {
      nodes: nodes.map(({ node, cause }) => ({
        node,
        eligible: cause === undefined,
        votes: cause === undefined,
        quarantine: undefined,
        server: undefined,
        uptime: undefined,
        roundTrip: undefined,
        clockOffset: undefined,
      })),
      findings,
      quorum,
    };
    if (findings.length > 0) throw new NotReadyError(report);
    return report;
  }
}
