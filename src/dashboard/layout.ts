import { createHash } from "node:crypto";
import { CLIENT } from "./client.ts";
import { Html, html, type Part } from "./html.ts";
import { STYLE } from "./style.ts";

/** The icon of the tab; without one, browsers ask for a file. */
const ICON =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect x="3" y="7" width="10" height="8" rx="2" fill="#2f6fed"/><path d="M5 7V5a3 3 0 0 1 6 0v2" fill="none" stroke="#2f6fed" stroke-width="2"/></svg>',
  );

/** A page may use its own style and script, and send requests and forms to its own origin. */
const POLICY = [
  "default-src 'none'",
  `style-src '${hashOf(STYLE)}'`,
  `script-src '${hashOf(CLIENT)}'`,
  "img-src data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

/** The headers of every response. */
export const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
} as const;

/** A page: its title and its main part. */
export interface Page {
  readonly title: string;
  readonly content: Part;
  /** Whether its main part is refreshed. */
  readonly isLive: boolean;
  /** @defaultValue 200 */
  readonly status?: number;
}

/** A page with one sentence. */
export function messagePage(status: number, title: string, sentence: string): Page {
  const content = html`<h1>${title}</h1>
    <p>${sentence}</p>
    <p><a href="./">All keys</a></p>`;
  return { title, content, isLive: false, status };
}

// The policy has the hashes of the exact text between the tags.
const STYLE_TAG = new Html(`<style>${STYLE}</style>`);
const SCRIPT_TAG = new Html(`<script>${CLIENT}</script>`);

/** Writes a page. */
export function layout({ title, content, isLive }: Page): string {
  const live = html`<p class="live">
      <span id="live" role="status"></span>
      <button id="pause" type="button" aria-pressed="false" hidden>Pause</button>
    </p>
    <noscript><a href="">Refresh</a></noscript>`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · bullmq-redlock</title>
        <link rel="icon" href="${ICON}" />
        ${STYLE_TAG}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <header>
          <p class="brand"><a href="./">bullmq-redlock</a></p>
          ${isLive && live}
        </header>
        <main id="main" tabindex="-1">${content}</main>
        ${isLive && SCRIPT_TAG}
      </body>
    </html>`.toString();
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
