/** How many entries are remembered. */
const MOST = 1_000;

/** A map of the entries that were set last; each further one replaces the oldest. */
export class RecentMap<K, V> extends Map<K, V> {
  override set(key: K, value: V): this {
    this.delete(key);
    super.set(key, value);
    if (this.size > MOST) this.delete(this.keys().next().value as K);
    return this;
  }
}
