import { LockConfigError } from "../errors.ts";
import type { DataOption } from "../data-option.ts";
import { type Endpoint, type NodeOption, parseEndpoint } from "../redis/endpoint.ts";
import { REDLOCK_DATA_OPTIONS } from "../redlock/data-options.ts";
import { checkRedlockOptions, type RedlockOptions } from "../redlock/options.ts";
import { readDuration } from "./duration.ts";
import { type Environment, expandVariables, isPlain } from "./environment.ts";
import { findFaults, foundAsWritten, type Options } from "./find-faults.ts";
import { type Mistake, toMistake, wrongValue } from "./mistake.ts";
import { type Path, writePath } from "./path.ts";

/** What the rules say about the masters and the `Redlock`. */
export interface CheckedMasters {
  readonly mistakes: readonly Mistake[];
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
  const { nodes, mistakes } = readNodes(top["nodes"], isSound, environment);
  const read = readOptions(top, REDLOCK_DATA_OPTIONS, [], isSound, environment);
  mistakes.push(...read.mistakes);
  const options: Options = { nodes, ...read.options };
  let isMaxTtlKnown = ["ttl", "maxTtl"].every((name) => name in top === name in options);
  const faults = findFaults(options, checkRedlockOptions, (name) => {
    if (name === "ttl" || name === "maxTtl") isMaxTtlKnown = false;
    if (name !== "ttl") return;
    delete options["maxTtl"];
    delete options["heartbeat"];
  });
  for (const fault of faults) {
    const mistake = toMistake(fault);
    const name = String(mistake.path[0]);
    const found = foundAsWritten(fault.found, top[name], read.options[name]);
    mistakes.push({ ...mistake, found });
  }
  return { mistakes, options, isMaxTtlKnown };
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
): { options: Options; mistakes: Mistake[] } {
  const options: Options = {};
  const mistakes: Mistake[] = [];
  for (const [name, { takes }] of Object.entries(known)) {
    const value = given[name];
    const at = [...path, name];
    if (value === undefined || !isSound(at)) continue;
    if (takes === "text" && typeof value === "string") {
      const expanded = expandVariables(value, environment, at);
      const foreign = FOREIGN.exec(value)?.[0];
      mistakes.push(...expanded.mistakes);
      if (foreign !== undefined)
        mistakes.push(
          wrongValue(at, `"${foreign}"`, "text, or ${NAME} for an environment variable"),
        );
      if (foreign === undefined && expanded.mistakes.length === 0) options[name] = expanded.value;
      continue;
    }
    const isDuration = typeof takes === "string" && takes.startsWith("duration") && value !== false;
    const taken = isDuration ? readDuration(value) : value;
    if (taken === undefined) {
      mistakes.push(wrongValue(at, JSON.stringify(value), "a duration of whole milliseconds"));
    } else options[name] = taken;
  }
  return { options, mistakes };
}

function readNodes(
  given: unknown,
  isSound: (path: Path) => boolean,
  environment: Environment,
): { nodes: NodeOption[]; mistakes: Mistake[] } {
  const mistakes: Mistake[] = [];
  const nodes: NodeOption[] = [];
  const read: { endpoint: Endpoint; path: Path }[] = [];
  if (!isSound(["nodes"]) || !Array.isArray(given)) return { nodes: STAND_IN, mistakes };
  for (const [index, entry] of given.entries()) {
    const path = ["nodes", index];
    if (!isSound(path)) continue;
    const { value, mistakes: missing } = expandVariables(entry, environment, path);
    mistakes.push(...missing);
    if (missing.length > 0) continue;
    const known = knownParts(value, path, isSound);
    const endpoint = parse(path, known);
    if (endpoint instanceof LockConfigError) {
      const mistake = toMistake(endpoint);
      // That it does not say where it is may follow from a name that is misspelt.
      if (known === value || mistake.path.length > path.length) mistakes.push(mistake);
      continue;
    }
    if (known !== value) continue;
    const first = read.find((other) => other.endpoint.address === endpoint.address);
    if (first === undefined) {
      read.push({ endpoint, path });
      nodes.push(value as NodeOption);
      continue;
    }
    mistakes.push(
      wrongValue(
        path,
        `${endpoint.address}, the same server as ${writePath(first.path)}`,
        "another server: two votes of one server are one",
      ),
    );
  }
  return { nodes: nodes.length > 0 ? nodes : STAND_IN, mistakes };
}

/** A master without the parts whose names are wrong. */
function knownParts(value: unknown, path: Path, isSound: (path: Path) => boolean): unknown {
  if (!isPlain(value)) return value;
  const parts = Object.entries(value);
  const known = parts.filter(([name]) => isSound([...path, name]));
  return known.length === parts.length ? value : Object.fromEntries(known);
}

function parse(path: Path, node: unknown): Endpoint | LockConfigError {
  try {
    return parseEndpoint(writePath(path), node);
  } catch (error) {
    if (error instanceof LockConfigError) return error;
    throw error;
  }
}
