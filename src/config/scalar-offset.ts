import { parse } from "yaml";

/**
 * Where in the source an offset of the value is. Quotes, escapes and folded lines are written differently, but all that is
 * no space comes in the same order.
 */
export function offsetInScalar(source: string, value: string, offset: number): number {
  const [quote = ""] = /^["']/.exec(source) ?? [];
  const start = quote !== "" ? 1 : /^[|>]/.test(source) ? source.indexOf("\n") + 1 : 0;
  const token =
    quote === '"' ? /\\(?:x..|u.{4}|U.{8}|\s+|.)|\S/gs : quote === "'" ? /''|\S/g : /\S/g;
  const before = value.slice(0, offset);
  let left = before.replaceAll(/\s/g, "").length;
  let end = start;
  for (const { 0: written, index } of source
    .slice(0, source.length - quote.length)
    .matchAll(token)) {
    if (index < start) continue;
    const read = quote === '"' && written.length > 1 ? String(parse(`"${written}"`)) : written;
    const width = quote === "'" && written === "''" ? 1 : read.replaceAll(/\s/g, "").length;
    if (left <= 0 && width > 0) return /\s/.test(value[offset] ?? " ") ? end : index;
    if (left > 0) end = index + written.length;
    left -= width;
  }
  return end;
}
