/** What is done with the views of one tenant, one after the other; those of different tenants together. */
export class TenantTurns {
  readonly #last = new Map<string, Promise<void>>();

  /** Does work after all that was asked for this tenant before. @throws what it throws */
  async take<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(tenant);
    const result = before === undefined ? work() : before.then(work);
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#last.set(tenant, settled);
    try {
      return await result;
    } finally {
      if (this.#last.get(tenant) === settled) this.#last.delete(tenant);
    }
  }
}
