import { hostname } from "node:os";

let known: string | undefined;

/** The name of this machine, which is read once: each lock needs it. */
export function hostName(): string {
  return (known ??= hostname());
}
