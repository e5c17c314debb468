import type { Clock } from "../clock.ts";
import { namesUnder } from "../lock/stored-lock.ts";
import { parseServerInfo, type ServerInfo, unusableReason } from "../redis/server-info.ts";
import { messageOf } from "../sentences.ts";
import { checkPermissions, type PermissionCheck } from "./permission-check.ts";
import { permitted, type Probe, type Refusal } from "./probe.ts";
import { type ClockFacts, observeClock } from "./server-clock.ts";

/** What is known about one master. */
export interface NodeFacts {
  readonly node: string;
  /** Why there are no more facts; `undefined` when all are there. */
  failure: string | undefined;
  info: ServerInfo | undefined;
  readonly refusals: Refusal[];
  /** Why messages do not work. */
  pubsubRefusal: string | undefined;
  /** `undefined` when the server does not report it. */
  appendfsync: string | undefined;
  clock: ClockFacts | undefined;
}

interface Examination extends Omit<PermissionCheck, "runId"> {
  readonly probe: Probe;
  readonly clock: Clock;
  /** Ends pauses; the probe is closed then. */
  readonly ended: AbortSignal;
}

/** Facts before there are any. */
export function noFacts(node: string, failure: string): NodeFacts {
  return {
    node,
    failure,
    info: undefined,
    refusals: [],
    pubsubRefusal: undefined,
    appendfsync: undefined,
    clock: undefined,
  };
}

/** Fills in the facts, as far as the master permits. Never rejects. */
export async function examine(facts: NodeFacts, examination: Examination): Promise<void> {
  try {
    await gather(facts, examination);
    facts.failure = undefined;
  } catch (error) {
    facts.failure = messageOf(error);
  }
}

async function gather(facts: NodeFacts, examination: Examination): Promise<void> {
  const { probe } = examination;
  const info = await permitted(
    () => probe.ask((client) => client.info()),
    (cause) => facts.refusals.push({ what: "INFO", cause }),
  );
  if (info === undefined) return;
  facts.info = parseServerInfo(info);
  // Nothing else matters about such a server.
  if (unusableReason(facts.info) !== undefined) return;
  const { runId } = facts.info;
  facts.refusals.push(...(await checkPermissions(probe, { ...examination, runId })));
  await observeClock(examination, (clock) => {
    facts.clock = clock;
  });
  if (facts.info.appendOnly === true) {
    facts.appendfsync = await permitted(() => askAppendfsync(probe));
  }
  await tryMessages(facts, examination);
}

async function askAppendfsync(probe: Probe): Promise<string | undefined> {
  const reply: unknown = await probe.ask((client) => client.config("GET", "appendfsync"));
  return Array.isArray(reply) && reply.length === 2 ? String(reply[1]) : undefined;
}

/** Publishes and subscribes as waiters do. The last use of the connection. */
async function tryMessages(facts: NodeFacts, { probe, prefix }: Examination): Promise<void> {
  const channel = namesUnder(prefix).wake("@probe");
  const exchange = async (): Promise<void> => {
    await probe.ask((client) => client.publish(channel, "0"));
    await probe.ask((client) => client.subscribe(channel));
    await probe.ask((client) => client.unsubscribe(channel));
  };
  await permitted(exchange, (cause) => {
    facts.pubsubRefusal = cause;
  });
}
