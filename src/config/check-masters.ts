import type { DataOption } from "../data-option.ts";
import { type Endpoint, type NodeOption, parseEndpoint } from "../redis/endpoint.ts";
import { REDLOCK_OPTIONS } from "../redlock/data-options.ts";
import {
  checkRedlockOptions,
  type RedlockOptions,
  refuseSeveralNodes,
} from "../redlock/options.ts";
import { readDuration } from "./duration.ts";
import { type Environment, expandVariables, isPlain } from "./environment.ts";
import { findProblems, type Options } from "./find-problems.ts";
import { type Problem, type Path, writePath, wrongValue } from "./problem.ts";

/** What the rules say about the masters and the `Redlock`. */
export interface CheckedMasters {
  readonly problems: readonly Problem[];
  /** Options of a `Redlock` that can be made; what was faulty is left out. */
  readonly options: RedlockOptions;
  /** Whether the longest ttl is known: something about it may be faulty. */
  readonly isMaxTtlKnown: boolean;
}

/** With no master left, something that can be made stands in. */
const STAND_IN: NodeOption[] = ["redis://127.0.0.1"];

/** Reads what the top of the rules says about the masters. `isSound` tells what has the right shape. */
export function checkMasters(
  top: Options,
  isSound: (path: Path) => boolean,
  environment: Environment,
): CheckedMasters {
  const { nodes, problems } = readNodes(top["nodes"], isSound, environment);
  const read = readOptions(top, REDLOCK_OPTIONS, [], isSound, environment);
  const options: Options = { nodes, ...read.options };
  problems.push(...read.problems, ...findProblems(options, checkRedlockOptions, [], top));
  const isMaxTtlKnown = ["ttl", "maxTtl"].every(
    (name) => top[name] === undefined || name in options,
  );
  return { problems, options, isMaxTtlKnown };
}

/** In a text that only variables are put into, these were meant to be something else. */
const FOREIGN = /\{\{|<%|\$(?=[A-Za-z_(])/;

/** Reads options that have the right shape: durations in milliseconds, variables in texts replaced. */
export function readOptions(
  given: Options,
  known: Readonly<Record<string, DataOption>>,
  path: Path,
  isSound: (path: Path) => boolean,
  environment: Environment,
): { options: Options; problems: Problem[] } {
  const options: Options = {};
  const problems: Problem[] = [];
  for (const [name, { takes }] of Object.entries(known)) {
    const value = given[name];
    // What is there without a value is not given: options may come from code.
    if (value === undefined) continue;
    const at = [...path, name];
    if (!isSound(at)) continue;
    if (takes === "text" && typeof value === "string") {
      const expanded = expandVariables(value, environment, at);
      const foreign = FOREIGN.exec(value)?.[0];
      problems.push(...expanded.problems);
      if (foreign !== undefined)
        problems.push(
          wrongValue(at, `"${foreign}"`, "text, or ${NAME} for an environment variable"),
        );
      if (foreign === undefined && expanded.problems.length === 0) options[name] = expanded.value;
      continue;
    }
    const isDuration = typeof takes === "string" && takes.startsWith("duration") && value !== false;
    const taken = isDuration ? readDuration(value) : value;
    if (taken === undefined) {
      problems.push(wrongValue(at, JSON.stringify(value), "a duration of whole milliseconds"));
    } else options[name] = taken;
  }
  return { options, problems };
}

function readNodes(
  given: unknown,
  isSound: (path: Path) => boolean,
  environment: Environment,
): { nodes: NodeOption[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const nodes: NodeOption[] = [];
  const firsts = new Map<string, Path>();
  if (!isSound(["nodes"]) || !Array.isArray(given)) return { nodes: STAND_IN, problems };
  for (const [index, entry] of given.entries()) {
    const path = ["nodes", index];
    if (!isSound(path)) continue;
    const { value, problems: missing } = expandVariables(entry, environment, path);
    problems.push(...missing);
    if (missing.length > 0) continue;
    const { endpoint, problems: wrong } = readNode(value, path, isSound);
    problems.push(...wrong);
    if (endpoint === undefined) continue;
    const first = firsts.get(endpoint.address);
    if (first === undefined) {
      firsts.set(endpoint.address, path);
      nodes.push(value as NodeOption);
      continue;
    }
    problems.push(
      wrongValue(
        path,
        `the same server as ${writePath(first)}`,
        "another server: two votes of one server are one",
      ),
    );
  }
  return { nodes: nodes.length > 0 ? nodes : STAND_IN, problems };
}

/** Reads one master; without an endpoint if anything is wrong with it. */
function readNode(
  value: unknown,
  path: Path,
  isSound: (path: Path) => boolean,
): { endpoint?: Endpoint | undefined; problems: Problem[] } {
  const parts = isPlain(value) ? Object.entries(value) : [];
  const known = parts.filter(([name]) => isSound([...path, name]));
  let endpoint: Endpoint | undefined;
  const read = (node: Options): void => {
    refuseSeveralNodes("", value);
    const isWhole = Object.keys(node).length === parts.length;
    const isSomewhere = "url" in node || "path" in node;
    // That it does not say where it is may follow from what was taken away.
    const rest = isSomewhere ? node : { host: "stand-in", ...node };
    endpoint = parseEndpoint("", isWhole ? value : rest);
  };
  const problems = findProblems(Object.fromEntries(known), read, path, {});
  const isRight = known.length === parts.length && problems.length === 0;
  return { endpoint: isRight ? endpoint : undefined, problems };
}
