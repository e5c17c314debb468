import { type RedisNodes, startRedisNodes } from "../../dist/testing/index.js";
import { CrewMember } from "./crew.ts";
import { clearMasters, pinToOneCore } from "./masters.ts";
import type { Figures, Phase, Scenario } from "./scenario.ts";

/** What all runs of a scenario came to: of each contender, all values of each figure. */
export type Measurement = ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>;

/** What the rounds of a scenario run with. */
interface Session {
  readonly rounds: number;
  readonly members: readonly CrewMember[];
  readonly nodes: RedisNodes;
  readonly say: (line: string) => void;
}

const AS_IT_IS: Phase = { name: "as it is", enter: () => {}, leave: () => {} };

/** Measures all contenders of a scenario in turn, round after round, on masters of its own. */
export async function measure(
  scenario: Scenario,
  rounds: number,
  say: (line: string) => void,
): Promise<Measurement> {
  await using nodes = await startRedisNodes(scenario.nodes);
  const members: CrewMember[] = [];
  try {
    for (const contender of scenario.contenders) {
      members.push(await CrewMember.start(scenario, contender, nodes.urls));
    }
    if (scenario.oneCore) pinToOneCore([...nodes.pids, ...members.map(({ pid }) => pid)]);
    return await runRounds(scenario, { rounds, members, nodes, say });
  } finally {
    for (const member of members) member.end();
  }
}

async function runRounds(
  scenario: Scenario,
  { rounds, members, nodes, say }: Session,
): Promise<Measurement> {
  const measured = new Map(scenario.contenders.map((name) => [name, new Map<string, number[]>()]));
  const failed = new Set<CrewMember>();
  const count = roundsOf(scenario, rounds);
  for (let round = 1; round <= count; round++) {
    say(`${scenario.name}: round ${round} of ${count}`);
    for (const phase of scenario.phases ?? [AS_IT_IS]) {
      for (const member of inTurn(members, round)) {
        if (failed.has(member)) continue;
        await phase.enter(nodes);
        try {
          note(measured.get(member.contender), await member.run(phase.name));
        } catch (error) {
          // It does not take the others with it: its cells stay empty.
          failed.add(member);
          member.end();
          process.exitCode = 1;
          say(`${scenario.name}: ${String(error)}`);
        }
        await phase.leave(nodes);
        if (scenario.clears) await clearMasters(nodes.urls);
      }
    }
  }
  return measured;
}

/** How many rounds a scenario has when so many are asked for. */
export function roundsOf(scenario: Scenario, rounds: number): number {
  return Math.min(rounds, scenario.rounds ?? rounds);
}

/** Another one begins in each round: who comes first has a colder machine than who comes last. */
function inTurn<T>(members: readonly T[], round: number): T[] {
  const first = round % members.length;
  return [...members.slice(first), ...members.slice(0, first)];
}

function note(noted: Map<string, number[]> | undefined, figures: Figures): void {
  for (const [name, value] of Object.entries(figures)) {
    noted?.set(name, [...(noted.get(name) ?? []), value]);
  }
}
