/** What a shadow, a candidate policy that decides nothing, has counted. */
export interface ShadowNumbers {
  readonly tenant: string;
  readonly policy: string;
  readonly events: number;
  readonly skipped: number;
  /** Events by `forward → drop` and the like; `output`: both forward, and not the same. */
  readonly changes: ReadonlyMap<string, number>;
}
