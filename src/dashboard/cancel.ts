import { LockUnavailableError } from "../errors.ts";
import { operator } from "../describe/words.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { messagePage, type Page } from "./layout.ts";
import type { Settings } from "./options.ts";
import type { FormTokens } from "./tokens.ts";

/** The largest form that is read, in bytes. */
const LARGEST_FORM = 8_192;
/** The longest reason, in characters; the rest is cut. */
const LONGEST_REASON = 200;

/** Asks the holder of a key to stop. @returns the address of the next page, or a page with the reason of a refusal. */
export async function cancel(
  request: Request,
  {
    redlock,
    authorize,
    tokens,
  }: { redlock: Redlock; authorize: Settings["authorize"]; tokens: FormTokens },
): Promise<string | Page> {
  if (authorize === undefined) {
    return messagePage(403, "Not allowed", "This dashboard is read-only.");
  }
  const site = request.headers.get("sec-fetch-site") ?? "same-origin";
  // Unknown, since code without types may return anything.
  const verdict: unknown = site === "same-origin" && (await authorize(request));
  if (verdict !== true) {
    return messagePage(403, "Not allowed", "You may not ask holders to stop.");
  }
  const form = new URLSearchParams(await readForm(request));
  const key = new URL(request.url).searchParams.get("key") ?? "";
  const asked = Number(form.get("holder"));
  if (!tokens.isValid(form.get("token") ?? "", key, asked)) {
    return messagePage(403, "Not allowed", "The form is too old, or not from this dashboard.");
  }
  const reason = (form.get("reason") ?? "").trim().slice(0, LONGEST_REASON);
  const by = operator(reason === "" ? undefined : reason);
  try {
    const { holder } = await redlock.inspect(key);
    if (holder?.fencingToken === asked) await redlock.cancel(key, by);
  } catch (error) {
    if (!(error instanceof LockUnavailableError)) throw error;
    return messagePage(503, "Not asked", "Too few masters answer to ask the holder.");
  }
  return `key?${new URLSearchParams({ key, asked: String(asked) }).toString()}`;
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
