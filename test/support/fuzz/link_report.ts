/** What a fuzz run over a link has shown, and which promises it breaks. */

export interface LinkFuzzReport {
  readonly ok: boolean;
  readonly seed: number;
  /** Events that the origin's server has stored. */
  readonly published: number;
  /** Events that it refused to store; they count nowhere else. */
  readonly refused: number;
  readonly forwarded: number;
  readonly dropped: number;
  readonly quarantined: number;
  /** Events that wait behind the view's position at the end. */
  readonly deferred: number;
  /** Events that waited for a limit while it was held tight, each accounted for then. */
  readonly held: number;
  /** Read by an app at the far site. */
  readonly received: number;
  /** Policies that were in force one after the other, and those whose events were seen at the far site. */
  readonly policies: number;
  readonly versions: number;
  readonly leaks: number;
  readonly crashes: number;
  readonly stalls: number;
  readonly repeated: number;
  readonly reordered: number;
  /** Quarantined events by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly problems: readonly string[];
}

/** What is counted, before it is judged. */
export type LinkFuzzFigures = Omit<LinkFuzzReport, "ok" | "problems">;

/** Judges the figures. */
export function linkFuzzReport(figures: LinkFuzzFigures, further: readonly string[]): LinkFuzzReport {
  const { published, forwarded, dropped, quarantined, deferred, received } = figures;
  const problems = [...further];
  for (const name of ["leaks", "crashes", "stalls", "repeated", "reordered"] as const) {
    if (figures[name] !== 0) problems.push(`${figures[name]} ${name}`);
  }
  const accounted = forwarded + dropped + quarantined + deferred;
  if (accounted !== published) problems.push(`${published} published, ${accounted} accounted for`);
  if (received !== forwarded) problems.push(`${forwarded} forwarded, ${received} received`);
  if (figures.held === 0) problems.push("no event was ever deferred: nothing was tried");
  if (forwarded === 0 || dropped === 0 || quarantined === 0) {
    problems.push("one of forwarded, dropped and quarantined never came about: nothing was tried");
  }
  return { ok: problems.length === 0, ...figures, problems };
}
