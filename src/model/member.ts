/** One sidecar of a site, as the API tells of it. */
export interface MemberReport {
  readonly name: string;
  /** Whether it leads the site. */
  readonly leads: boolean;
  readonly alive: boolean;
  /** Version of Leafmesh. */
  readonly version: string;
  /** Where its API answers; empty while it starts. */
  readonly api: string;
  /** Views that it runs, `<tenant>/<export>`. */
  readonly views: readonly string[];
}
