/** Refuses an option that does not exist: a misspelt one would silently do nothing. */
export function refuseUnknownOptions(
  callee: string,
  options: object,
  known: readonly string[],
): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new TypeError(`unknown option "${unknown}" of ${callee}; known: ${known.join(", ")}`);
}
