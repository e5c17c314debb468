import { hostname } from "node:os";

let known: string | undefined;

/** The name of this machine. The system is asked once: it would be asked for every lock. */
export function hostName(): string {
  return (known ??= hostname());
}
