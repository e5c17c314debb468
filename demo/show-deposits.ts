import { styleText } from "node:util";
import { auditBank, WORK } from "./bank.ts";
import { type Deposit, LOCKED, UNLOCKED } from "./messages.ts";
import type { Progress } from "./progress.ts";
import { count, describeWaits, drawTable, listFailures, type Seen, wrap } from "./report.ts";
import { type NewJob, runRound } from "./round.ts";
import type { Stage } from "./stage.ts";

const DEPOSITS = 400;
const ACCOUNTS = 40;
/** A customer clicks too often: this many deposits in a row go into the same account, once every `BURST_EVERY` jobs. */
const BURST = 3;
const BURST_EVERY = 40;

/** The lock master that is killed, counted from 0, and after how many jobs. */
const VICTIM = 2;
const KILL_AFTER = DEPOSITS / 3;

/** How the lock master ended. */
interface Death {
  /** Jobs completed before. */
  after: number;
  /** How many worker processes noticed. */
  noticedBy: number;
}

/** Runs the same deposits without the lock and with it, and compares. Returns the exit code. */
export async function showDeposits(stage: Stage, progress: Progress): Promise<number> {
  progress.say(introduction());
  const without = await runRound(
    { queue: UNLOCKED, title: "without the lock", jobs: makeDeposits(), total: DEPOSITS },
    stage,
    progress,
  );
  const noticed = new Set<number>();
  stage.crew.listen(({ kind }, pid) => {
    if (kind === "master down") noticed.add(pid);
  });
  let after = 0;
  const withLock = await runRound(
    { queue: LOCKED, title: "with the lock", jobs: makeDeposits(), total: DEPOSITS },
    stage,
    progress,
    async (ledger) => {
      await ledger.until(() => ledger.settled >= KILL_AFTER);
      const pid = await stage.killMaster(VICTIM);
      after = ledger.completed;
      progress.say(`killed lock master ${VICTIM + 1} (SIGKILL to process ${pid}); the jobs go on`);
    },
  );
  const careless = { result: without, audit: await auditBank(stage.urls.queue, UNLOCKED) };
  const careful = { result: withLock, audit: await auditBank(stage.urls.queue, LOCKED) };
  progress.say(report(careless, careful, { after, noticedBy: noticed.size }));
  return isRight(careless, careful) ? 0 : 1;
}

function introduction(): string {
  const text =
    `${DEPOSITS} jobs, each a deposit into one of ${ACCOUNTS} accounts; now and then ${BURST} in a row go into the ` +
    `same busy account. A deposit reads the balance, works for ${WORK} ms and writes the balance. Of two ` +
    `deposits into one account at the same time, one is lost.`;
  return `\n${wrap(text, 0)}\n`;
}

function report(careless: Seen, careful: Seen, death: Death): string {
  const { ledger } = careful.result;
  const others = ledger.completed - death.after;
  const facts = [
    ...describeWaits(careful.result, "account"),
    `lock master ${VICTIM + 1} was killed after ${count(death.after, "job")} and ${others} more were completed ` +
      `without it; ${count(death.noticedBy, "worker process", "worker processes")} noticed`,
  ];
  const failures = [careless, careful].flatMap(({ result }) => [
    ...result.ledger.failures.values(),
  ]);
  return [
    "",
    drawTable(["without the lock", "with the lock"], [careless, careful], "account"),
    "",
    "  With the lock:",
    ...facts.map((fact) => wrap(fact, 4, "  - ")),
    ...(failures.length > 0 ? ["", "  Failed:", listFailures(failures)] : []),
    "",
    conclude(careless, careful),
  ].join("\n");
}

function conclude(careless: Seen, careful: Seen): string {
  return isRight(careless, careful)
    ? styleText("green", "One job at a time per account, and the accounts in parallel.") +
        "\nWith your own jobs: npm start -- --help"
    : styleText("red", "The promise was not kept: see the figures above.");
}

function isRight(careless: Seen, careful: Seen): boolean {
  const { audit, result } = careful;
  return (
    careless.result.ledger.completed === DEPOSITS &&
    result.ledger.completed === DEPOSITS &&
    audit.peakOfOne === 1 &&
    audit.lost === 0
  );
}

/** Makes the demo's own jobs, the same at each run. */
function* makeDeposits(): Generator<NewJob> {
  for (let index = 0; index < DEPOSITS; index += 1) {
    const data: Deposit = { account: chooseAccount(index) };
    yield { id: `deposit-${index + 1}`, data };
  }
}

/** Account 0 is the busy one; the other accounts alternate. */
function chooseAccount(index: number): number {
  return index % BURST_EVERY < BURST ? 0 : 1 + (index % (ACCOUNTS - 1));
}
