/** Finds what somebody probably meant by a word that is not known. */

/** The word of `known` nearest to `word`, or `null` when none is near: at most one slip in three letters, three in all. */
export function nearestWord(word: string, known: Iterable<string>): string | null {
  const most = Math.min(3, Math.max(1, Math.floor(word.length / 3)));
  let found: string | null = null;
  let least = most + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [found, least] = [candidate, distance];
  }
  return found;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `to` of `from`. */
function editDistance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > 3) return 4;
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[to.length] ?? 0;
}
