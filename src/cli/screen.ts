import type { Writable } from "node:stream";
import { styleText } from "node:util";
import { displayWidth } from "../display-width.ts";

type Style = "bold" | "dim" | "red" | "yellow" | "green";

/** A stream that a command writes to. */
export class Screen {
  readonly #out: Writable;

  constructor(out: Writable) {
    this.#out = out;
  }

  print(...lines: readonly string[]): void {
    for (const line of lines) this.#out.write(`${line}\n`);
  }

  /** Writes JSON. An undefined value becomes null. */
  json(value: unknown): void {
    this.print(JSON.stringify(value, (_, part: unknown) => (part === undefined ? null : part), 2));
  }

  /** Colours a text if the stream is a terminal that wants colours (NO_COLOR, FORCE_COLOR). */
  paint(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#out });
  }
}

/** Lays rows out in columns, each as wide as its widest entry. */
export function table(rows: readonly (readonly string[])[], indent = "  "): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, text] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, displayWidth(text));
  return rows.map((row) =>
    (indent + row.map((text, column) => pad(text, widths[column] ?? 0)).join("  ")).trimEnd(),
  );
}

/** Lays rows out as {@link table}, with dimmed column names above them. */
export function titledTable(
  out: Screen,
  rows: readonly (readonly string[])[],
  indent?: string,
): string[] {
  const [heading = "", ...lines] = table(rows, indent);
  return [out.paint("dim", heading), ...lines];
}

/** Breaks a text into lines. */
export function wrap(text: string, indent: string, width = 96): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length + 1 > width) lines.push(indent + word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

function pad(text: string, width: number): string {
  return text + " ".repeat(width - displayWidth(text));
}
