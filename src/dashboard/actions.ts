import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { LockUnavailableError } from "../errors.ts";
import { operator } from "../describe/words.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { messagePage, type Page } from "./layout.ts";
import type { Settings } from "./options.ts";
import { addressOf } from "./address.ts";

/** The largest form that is read, in bytes. */
const LARGEST_FORM = 8_192;
/** The longest reason, in characters; the rest is cut. */
const LONGEST_REASON = 200;

/** Makes and checks the tokens of forms, which another site cannot know. They are valid in one process. */
export class FormTokens {
  readonly #secret = randomBytes(32);

  /** The token for one holder of one key, or 0 for none. */
  make(key: string, fencingToken: number): string {
    return this.#digest(key, fencingToken).toString("base64url");
  }

  /** Whether a token belongs to a holder of a key, in constant time. */
  isValid(token: string, key: string, fencingToken: number): boolean {
    const given = Buffer.from(token, "base64url");
    const wanted = this.#digest(key, fencingToken);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  }

  #digest(key: string, fencingToken: number): Buffer {
    return createHmac("sha256", this.#secret).update(`${fencingToken}:${key}`).digest();
  }
}

interface Parts {
  readonly redlock: Redlock;
  readonly authorize: Settings["authorize"];
  readonly tokens: FormTokens;
}

/** Asks the holder of a key to stop. @returns the address of the next page, or a page with the reason of a refusal. */
export async function cancel(request: Request, parts: Parts): Promise<string | Page> {
  return await act(request, parts, async ({ key, holder: asked, reason }) => {
    const by = operator(reason === "" ? undefined : reason);
    const { holders } = await parts.redlock.inspect(key);
    const holder = holders.find(({ fencingToken }) => fencingToken === asked);
    if (holder !== undefined) await parts.redlock.cancel(key, by, { slot: holder.slot });
    return { asked: String(asked) };
  });
}

/** Wakes the first waiter of a free key. @returns as {@link cancel}. */
export async function wake(request: Request, parts: Parts): Promise<string | Page> {
  return await act(request, parts, async ({ key }) => ({
    wake: (await parts.redlock.wake(key)).outcome,
  }));
}

interface Order {
  readonly key: string;
  /** The fencing token of the holder that the viewer saw; 0 for none. */
  readonly holder: number;
  readonly reason: string;
}

/** @param carryOut does what was asked for, and gives what the next page needs to know. */
async function act(
  request: Request,
  { authorize, tokens }: Parts,
  carryOut: (order: Order) => Promise<Record<string, string>>,
): Promise<string | Page> {
  if (authorize === undefined) {
    return messagePage(403, "Not allowed", "This dashboard is read-only.");
  }
  const site = request.headers.get("sec-fetch-site") ?? "same-origin";
  // Unknown, since code without types may return anything.
  const verdict: unknown = site === "same-origin" && (await authorize(request));
  if (verdict !== true) {
    return messagePage(403, "Not allowed", "You may see keys, and not act on them.");
  }
  const form = new URLSearchParams(await readForm(request));
  const key = new URL(request.url).searchParams.get("key") ?? "";
  const holder = Number(form.get("holder"));
  if (!tokens.isValid(form.get("token") ?? "", key, holder)) {
    return messagePage(403, "Not allowed", "The form is too old, or not from this dashboard.");
  }
  const reason = (form.get("reason") ?? "").trim().slice(0, LONGEST_REASON);
  try {
    const outcome = await carryOut({ key, holder, reason });
    return addressOf("key", { key, ...outcome });
  } catch (error) {
    if (!(error instanceof LockUnavailableError)) throw error;
    return messagePage(503, "Not done", "Too few masters answer.");
  }
}

/** Reads a form; "" when it is too large. */
async function readForm({ body }: Request): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > LARGEST_FORM) return "";
  }
  return Buffer.concat(chunks).toString();
}
