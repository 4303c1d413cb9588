/** Numbers of one sidecar, whoever leads. They name no tenants: one that follows tells them without a token. */
import type { Members } from "../control/members/members.ts";
import type { OpenViews } from "./spread/open.ts";

const OUTCOMES = ["forwarded", "redacted", "denied", "noRule", "quarantined", "redriven", "limited"] as const;

/** Prometheus text of the numbers of this sidecar alone. */
export function memberMetrics(members: Members, views: Pick<OpenViews, "count" | "counted">): string {
  const all = members.list();
  const gauges = [
    ["leafmesh_members", "Sidecars that the site has", all.length],
    ["leafmesh_members_alive", "Sidecars of the site that live", all.filter(({ alive }) => alive).length],
    ["leafmesh_member_leads", "Whether this sidecar leads the site", members.isLeader ? 1 : 0],
    ["leafmesh_member_epoch", "Number of the leadership that is known here", members.epoch],
    ["leafmesh_member_views", "Views that run in this sidecar", views.count],
  ] as const;
  const text = gauges.map(
    ([name, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`,
  );
  const events = "leafmesh_member_view_events";
  const counted = views.counted;
  text.push(
    `# HELP ${events} Events that the views in this sidecar have decided since it started\n# TYPE ${events} gauge\n`,
    ...OUTCOMES.map((outcome) => {
      const label = outcome === "noRule" ? "no_rule" : outcome;
      return `${events}{outcome="${label}"} ${counted[outcome]}\n`;
    }),
  );
  return text.join("");
}
