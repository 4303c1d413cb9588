/** Bounds of what is remembered. */

/** Forgets the entries that were put in first, down to `most`. */
export function keepNewest<K>(entries: Map<K, unknown>, most: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(key);
  }
}
