/** What the one that leads tells of the other sidecars of its site. */
import type { Alarms } from "../control/alarms/alarms.ts";
import type { Members } from "../control/members/members.ts";
import type { MemberReport } from "../model/member.ts";

/** The sidecars of the site, as the API tells of them. */
export function memberReports(members: Members): MemberReport[] {
  return members.list().map(({ name, leads, alive, version, api, views }) => ({
    name,
    leads,
    alive,
    version,
    api,
    views: Object.keys(views),
  }));
}

/** Keeps the alarm of each sidecar that is away. @returns ends it */
export function watchMembers(members: Members, alarms: Alarms): () => void {
  const look = () => {
    const away = members.list().filter(({ alive }) => !alive);
    alarms.observed(
      ["sidecar-lost-lease"],
      away.map(({ name }) => ({
        name: "sidecar-lost-lease",
        target: name,
        detail: `member ${name} has no heartbeat; member ${members.name} leads`,
      })),
    );
  };
  look();
  return members.onChange(look);
}
