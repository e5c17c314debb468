type End = () => unknown;

const ends: End[] = [];

/**
 * Runs `end` after the tests of the running file. Files that share a process load a support module once, so a hook in the module would
 * run after the first file alone.
 */
export function atEndOfFile(end: End): void {
  ends.push(end);
}

/** Runs what was left for the end of the file. */
export async function endFile(): Promise<void> {
  for (const end of ends.splice(0)) await end();
}
