/** Placeholders of other template languages, which the text of a key must escape. */
export const FOREIGN = /\$\{\{|\$\{\w*\}?|\$\(|\$\.?[A-Za-z_][\w.]*|[{}]|<%=?|%\(/y;

const NO_ENVIRONMENT =
  "no environment in a key: it stands in nodes and prefix, or the producer puts it into the data: {{data.env}}";

/** Describes what to write instead of something {@link FOREIGN}. */
export function hintAboutForeign(foreign: string): { found: string; expected: string } {
  if (foreign === "{" || foreign === "}") {
    const meant = foreign === "{" ? "{{ before a path" : "}} behind a path that has {{ before it";
    return { found: "a single brace", expected: `${meant}, or \\${foreign} for a brace` };
  }
  const isVariable = /^\$\{[A-Z_][A-Z0-9_]*\}$/.test(foreign);
  const meant = isVariable ? NO_ENVIRONMENT : "{{ before a path and }} after it";
  return { found: `"${foreign}"`, expected: `${meant}; or \\${foreign[0]} for the text itself` };
}

/** A path in a constant key: its braces are missing. */
export const BARE_PATH =
  /(?:(?<![\w.${-])(?:(?:job|event)\.)?(?:data|opts)|^(?:event|input|payload|args|github)(?=\.))(?:\.\w[\w$-]*|\[(?:\d+|\*)\])+/;

/** The parts of a job that other names at the start of a path stand for, in this library or in others. */
const MEANT: Readonly<Record<string, string>> = {
  queue: "queueName",
  queue_name: "queueName",
  jobName: "name",
  jobId: "id",
};
const DATA = ["event", "input", "inputs", "payload", "body", "args", "params", "github"];

/** Describes what to write instead of a name at the start of a path. */
export function hintAboutRoot(name: string): string | undefined {
  if (name === "job") return '; leave out "job."';
  const meant = DATA.includes(name) ? "data" : Object.hasOwn(MEANT, name) && MEANT[name];
  return meant ? `; did you mean "${meant}"?` : undefined;
}

/** The expectation instead of a function in a condition. */
export const NO_FUNCTIONS_IN_CONDITIONS =
  "a path alone: conditions have no functions, and patterns compare the case of letters";
const ONE_LOWER = "lower(...) once, around everything between the braces";
/** Spaces are allowed only around paths. */
export const NO_SPACE = "no space in a path";
const NO_EXPRESSIONS =
  "no function but lower(...) around everything between the braces, and no expression: the producer puts the result into the data";

/** Describes what to write instead of the text after a path. */
export function hintAfterPath(rest: string): string | undefined {
  return /^(?:\?(?!\?)|\|(?!\|)|[-+*/%=!<>&(])/.test(rest) ? NO_EXPRESSIONS : undefined;
}

/** Describes what to write instead of a function, such as `upper(`. */
export function hintAboutCall(rest: string): { found: string; expected: string } | undefined {
  const [call] = /^[\w.$-]+ *\(/.exec(rest) ?? [];
  if (call === undefined) return undefined;
  return { found: `"${call}"`, expected: /^lower *\(/.test(call) ? ONE_LOWER : NO_EXPRESSIONS };
}
