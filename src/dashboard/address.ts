/** The address of a page, below that of the dashboard. `encodeURIComponent` would throw for lone surrogates. */
export function addressOf(page: string, query: Readonly<Record<string, string>>): string {
  return `${page}?${new URLSearchParams(query).toString()}`;
}
