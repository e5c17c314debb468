import { type Problem, type Path, wrongValue } from "./problem.ts";

/** Environment variables, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$\{([^}]*)\}/g;
const UNCLOSED = /\$\{(?![^}]*\})/;
/** All of a text: in a part of one, these may be a part of a password. */
const FOREIGN_VARIABLE =
  /^(?:\$[A-Za-z_]\w*|\$\([A-Za-z_]\w*\)|\{\{?\s*[A-Za-z_]\w*\s*\}?\}|%[A-Za-z_]\w*%)$/;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Options of a master that are numbers, and that a variable can give only as text. */
const NUMBERS = new Set<unknown>(["port", "db"]);

/** Puts environment variables in the place of `${NAME}`, in every text of a value. */
export function expandVariables(
  value: unknown,
  environment: Environment,
  path: Path,
): { value: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  const expandText = (text: string, at: Path): unknown => {
    const expanded = text.replace(VARIABLE, (whole, name: string, offset: number) => {
      const found = findVariable(name, environment);
      if (found.value !== undefined) return found.value;
      problems.push({ ...wrongValue(at, found.fault, found.expected), offset });
      return whole;
    });
    const unclosed = text.search(UNCLOSED);
    if (unclosed !== -1) {
      const expected = "} behind the name: ${NAME}";
      problems.push({ ...wrongValue(at, "${ without an end", expected), offset: unclosed });
    }
    if (at[0] === "nodes" && FOREIGN_VARIABLE.test(text)) {
      const expected = "${NAME} for an environment variable";
      problems.push(wrongValue(at, "a name that stands for nothing here", expected));
    }
    const isNumber = expanded !== text && NUMBERS.has(at.at(-1)) && /^\d{1,9}$/.test(expanded);
    return isNumber ? Number(expanded) : expanded;
  };
  const expand = (part: unknown, at: Path, around: readonly object[]): unknown => {
    if (typeof part === "string") return expandText(part, at);
    if (!isPlain(part)) return part;
    if (around.includes(part)) {
      problems.push(wrongValue(at, "an object that contains itself", "one that ends"));
      return part;
    }
    return Object.fromEntries(
      Object.entries(part).map(([name, inner]) => [
        name,
        expand(inner, [...at, name], [...around, part]),
      ]),
    );
  };
  return { value: expand(value, path, []), problems };
}

type Variable = { value: string } | { value?: never; fault: string; expected: string };

function findVariable(name: string, environment: Environment): Variable {
  // Other names may be parts of a password.
  const isUsual = /^[A-Z_][A-Z0-9_]*$/.test(name);
  const shown = isUsual ? `\${${name}}` : "a variable";
  const variable = isUsual
    ? `the environment variable ${name}`
    : "an environment variable of this name";
  if (!NAME.test(name)) {
    return {
      fault: "${ before what is no name",
      expected: "the name of an environment variable: ${NAME}",
    };
  }
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value === undefined) {
    return { fault: `${shown}, which is not set`, expected: variable };
  }
  if (value === "") {
    return { fault: `${shown}, which is empty`, expected: `a value in ${variable}` };
  }
  return { value };
}

/** Objects of a file, not clients of ioredis. */
export function isPlain(value: unknown): value is object {
  return (
    typeof value === "object" &&
    value !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
  );
}
