import { type Path, type Problem, wrongValue } from "./problem.ts";

/** Environment variables, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$\{([^}]*)\}/g;
const UNCLOSED = /\$\{(?![^}]*\})/;
/** Variables of other languages, as the whole text: in a part of it, they may be a part of a password. */
const FOREIGN_VARIABLE =
  /^(?:\$[A-Za-z_]\w*|\$\([A-Za-z_]\w*\)|\{\{?\s*[A-Za-z_]\w*\s*\}?\}|%[A-Za-z_]\w*%)$/;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Options of a master that are numbers: a variable has only text. */
const NUMBERS = new Set<unknown>(["port", "db"]);

/** Replaces `${NAME}` by the environment variable, in every text of a value. */
export function expandVariables(
  value: unknown,
  environment: Environment,
  path: Path,
): { value: unknown; problems: Problem[] } {
  const problems: Problem[] = [];
  const expandText = (text: string, at: Path): unknown => {
    const expanded = text.replace(VARIABLE, (whole, name: string, offset: number) => {
      const variable = findVariable(name, environment);
      if (typeof variable === "string") return variable;
      problems.push({ ...wrongValue(at, variable.found, variable.expected), offset });
      return whole;
    });
    const unclosed = text.search(UNCLOSED);
    if (unclosed !== -1) {
      const expected = "} after the name: ${NAME}";
      problems.push({ ...wrongValue(at, "${ without an end", expected), offset: unclosed });
    }
    if (at[0] === "nodes" && FOREIGN_VARIABLE.test(text)) {
      const expected = "${NAME} for an environment variable";
      problems.push(wrongValue(at, "a variable in another form", expected));
    }
    const isNumber = expanded !== text && NUMBERS.has(at.at(-1)) && /^\d{1,9}$/.test(expanded);
    return isNumber ? Number(expanded) : expanded;
  };
  const expand = (part: unknown, at: Path): unknown => {
    if (typeof part === "string") return expandText(part, at);
    if (!isPlain(part)) return part;
    const entries = Object.entries(part);
    return Object.fromEntries(entries.map(([name, inner]) => [name, expand(inner, [...at, name])]));
  };
  return { value: expand(value, path), problems };
}

function findVariable(
  name: string,
  environment: Environment,
): string | Pick<Problem, "found" | "expected"> {
  if (!NAME.test(name))
    return {
      found: "${ without a name after it",
      expected: "the name of an environment variable: ${NAME}",
    };
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (typeof value === "string" && value !== "") return value;
  // Other names may be parts of a password.
  const shown = /^[A-Z_][A-Z0-9_]*$/.test(name) ? `\${${name}}` : "a variable";
  const found = `${shown}, which is ${value === undefined ? "not set" : "empty"}`;
  return { found, expected: "an environment variable with a value" };
}

/** Whether a value is a plain object, and not a client of ioredis. */
export function isPlain(value: unknown): value is object {
  return (
    typeof value === "object" &&
    value !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null)
  );
}
