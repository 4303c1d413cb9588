/** Who has attached to which consumer of MESH: the RESETs that were passed on while this sidecar leads. */
const keyOf = (stream: string, consumer: string): string => `${stream} ${consumer}`;

export class Attachments {
  readonly #passed = new Map<string, { readonly count: number; readonly created: string }>();

  /** A RESET was passed on. @param created when the consumer was made, as the server says it */
  passed(stream: string, consumer: string, created: string): void {
    const key = keyOf(stream, consumer);
    this.#passed.set(key, { count: this.count(stream, consumer) + 1, created });
  }

  /** How often one was passed on. */
  count(stream: string, consumer: string): number {
    return this.#passed.get(keyOf(stream, consumer))?.count ?? 0;
  }

  /** Whether one was, to the consumer that was made then. */
  has(stream: string, consumer: string, created: string): boolean {
    return this.#passed.get(keyOf(stream, consumer))?.created === created;
  }
}
