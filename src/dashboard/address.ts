/** The address of the page of a key, below the address of the dashboard. `encodeURIComponent` would throw for lone surrogates. */
export function addressOf(key: string): string {
  return `key?${new URLSearchParams({ key }).toString()}`;
}
