/** The way to a value in a rules file: names and indices. */
export type Path = readonly (string | number)[];

const WORD = /^[A-Za-z_$][\w$-]*$/;

/** Writes a path for people: `rules[0].ttl`. */
export function writePath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (WORD.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** Reads what errors of the library name: `nodes[1].port`. */
export function readPath(text: string): Path {
  return Array.from(text.matchAll(/\[(\d+)\]|([^.[\]]+)/g), ([, index, name]) =>
    index === undefined ? (name ?? "") : Number(index),
  );
}
