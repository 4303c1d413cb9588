/** What detectors have found in one text: spans of bytes, each with the redaction that is to be made of it. */

const START_ROOM = 16;

export class Hits {
  /** How many there are. After `settle` they are in order and apart. */
  count = 0;
  starts = new Int32Array(START_ROOM);
  ends = new Int32Array(START_ROOM);
  /** Index of the redaction, or -1 when several that each would leave a part readable overlap: then nothing is. */
  owners = new Int32Array(START_ROOM);
  /** The redaction that what is added belongs to. */
  owner = 0;

  clear(): void {
    this.count = 0;
  }

  add(start: number, end: number): void {
    if (this.count === this.starts.length) this.#grow();
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.owners[this.count] = this.owner;
    this.count++;
  }

  /**
   * Puts the spans in order and makes one of those that overlap: what they cover together, with the strictest of their
   * redactions, of equals the first.
   */
  settle(strengths: readonly number[], keepsPart: readonly boolean[]): void {
    if (this.count < 2) return;
    const order = Array.from({ length: this.count }, (_, i) => i);
    const { starts, ends, owners } = this;
    order.sort((a, b) => (starts[a] as number) - (starts[b] as number) || a - b);
    const found = order.map((i) => ({
      start: starts[i] as number,
      end: ends[i] as number,
      owner: owners[i] as number,
    }));
    let last = -1;
    for (const { start, end, owner } of found) {
      if (last < 0 || start >= (ends[last] as number)) {
        last++;
        starts[last] = start;
        ends[last] = end;
        owners[last] = owner;
        continue;
      }
      if (end > (ends[last] as number)) ends[last] = end;
      owners[last] = stricter(owners[last] as number, owner, strengths, keepsPart);
    }
    this.count = last + 1;
  }

  #grow(): void {
    const larger = (from: Int32Array) => {
      const to = new Int32Array(from.length * 2);
      to.set(from);
      return to;
    };
    this.starts = larger(this.starts);
    this.ends = larger(this.ends);
    this.owners = larger(this.owners);
  }
}

function stricter(a: number, b: number, strengths: readonly number[], keepsPart: readonly boolean[]): number {
  if (a === b) return a;
  const strengthOf = (owner: number) => (owner < 0 ? 0 : (strengths[owner] as number));
  const keeps = (owner: number) => owner < 0 || keepsPart[owner] === true;
  if (keeps(a) && keeps(b)) return -1;
  if (strengthOf(a) === strengthOf(b)) return Math.min(a, b);
  return strengthOf(a) > strengthOf(b) ? a : b;
}
