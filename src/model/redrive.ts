/** What a redrive of dead letters says of itself: the data plane counts it, the API shows it. */

/** What has become of one dead letter, or would. */
export interface RedriveSample {
  readonly sequence: number;
  readonly subject: string;
  readonly policy: string;
  readonly outcome: "forward" | "drop" | "keep";
  /** Why it is dropped or kept. */
  readonly reason: string | null;
  readonly error: string | null;
}

/** How far a redrive is. */
export interface RedriveReport {
  readonly id: string;
  readonly tenant: string;
  readonly state: "running" | "done" | "canceled" | "failed";
  readonly dryRun: boolean;
  /** Dead letters a second, at most. */
  readonly rate: number;
  /** ISO 8601, as all times here. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** Dead letters that are dealt with: forwarded, dropped or kept. */
  readonly done: number;
  readonly forwarded: number;
  readonly dropped: number;
  readonly kept: number;
  /** The first of each outcome. */
  readonly samples: readonly RedriveSample[];
  /** Why it has failed. */
  readonly error: string | null;
}
