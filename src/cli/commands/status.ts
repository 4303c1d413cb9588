/** `status` and `links`: what runs, and what flows. */
import type { LinkList, LinkReport, MemberList, RouteReport, SiteReport } from "../../../routes/answers.ts";
import type { MemberReport } from "../../model/member.ts";
import type { Command } from "../command.ts";
import { paths } from "../paths.ts";
import { count, elapsed, facts, indent, table } from "../table.ts";

export const STATUS: Command = {
  name: "status",
  args: [],
  about: "this site, its server and its links",
  flags: {},
  run: async ({ api, effects }) => {
    const client = await api();
    const [site, links, members] = await Promise.all([
      client.get<SiteReport>(paths.site),
      client.get<LinkList>(paths.links),
      client.get<MemberList>(paths.members),
    ]);
    const text = [siteText(site, members.items, effects.now()), linkTable(links.items)].join("\n\n");
    return { json: { site, links: links.items, members: members.items }, text };
  },
};

export const LINKS: Command = {
  name: "links",
  args: [],
  about: "every link with each of its routes",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<LinkList>(paths.links);
    const text = items.length === 0 ? NO_LINKS : items.map(linkText).join("\n\n");
    return { json: items, text };
  },
};

const NO_LINKS = "No peers yet: 'leafmesh peer add <name> --key U… --peer-ca FILE' links with a site.";

function siteText(site: SiteReport, members: readonly MemberReport[], now: Date): string {
  const { server } = site;
  const pid = server.pid === null ? "" : `, pid ${server.pid}`;
  return facts([
    [
      "site",
      `${site.site}, revision ${site.revision}, ${site.converged ? "applied" : "not all applied yet"}`,
    ],
    ["key", site.key],
    ["apps", server.listen],
    ["peers", server.leaf],
    ["links", linksText(site)],
    ...site.links.certificates
      .filter(({ kind }) => kind === "ca")
      .map(({ fingerprint }): [string, string] => ["CA", `SHA-256 ${fingerprint}`]),
    ["server", `nats-server ${server.version}, ${server.mode}${pid}, sync ${server.sync}`],
    ["sidecar", `${site.version} on ${site.runtime}, up ${elapsed(new Date(site.startedAt), now)}`],
    ...memberFacts(members),
    ...alarmFact(site),
    ...problems(site).map((problem): [string, string] => ["warning", problem]),
  ]);
}

function linksText({ links }: SiteReport): string {
  if (links.mode === "plain") return "plain: neither encrypted nor checked by certificates";
  const until = links.certificates.find(({ kind }) => kind === "link")?.notAfter.slice(0, 10) ?? "-";
  return `TLS, peers dial ${links.advertise}, certificate until ${until}`;
}

/** Of several sidecars: which one runs which tenants' views. */
function memberFacts(members: readonly MemberReport[]): [string, string][] {
  if (members.length < 2) return [];
  return members.map(({ name, leads, alive, views }) => {
    const tenants = [...new Set(views.map((view) => view.split("/")[0] ?? ""))].sort();
    const runs = alive ? `${count(views.length, "view")}${tenants.length === 0 ? "" : " of "}` : "";
    const state = leads ? "leads, " : alive ? "" : "down";
    return ["member", `${name}: ${state}${runs}${alive ? tenants.join(", ") : ""}`];
  });
}

function alarmFact({ alarms }: SiteReport): [string, string][] {
  const parts = [
    ...(alarms.critical === 0 ? [] : [`${alarms.critical} critical`]),
    ...(alarms.warning === 0 ? [] : [count(alarms.warning, "warning")]),
  ];
  return parts.length === 0 ? [] : [["alarms", `${parts.join(", ")}: see 'leafmesh alarms'`]];
}

function problems({ links }: SiteReport): string[] {
  return links.certificates.flatMap(({ problem }) => (problem === null ? [] : [problem]));
}

function linkTable(links: readonly LinkReport[]): string {
  if (links.length === 0) return NO_LINKS;
  const rows = links.map((link) => {
    const active = link.routes.filter((route) => route.active).length;
    const sum = (pick: (route: RouteReport) => number) =>
      link.routes.reduce((total, one) => total + pick(one), 0);
    return [
      link.peer,
      link.connected ? "up" : "down",
      link.direction,
      link.verified,
      rtt(link),
      `${active}/${link.routes.length}`,
      String(sum((route) => route.lag)),
      String(sum((route) => route.lost)),
    ];
  });
  const reasons = links.flatMap((link) => {
    const why = link.why ?? link.routes.find((route) => route.why !== null)?.why ?? null;
    return why === null ? [] : [`${link.peer}: ${why}`];
  });
  const head = ["PEER", "LINK", "BY", "VERIFIED", "RTT", "ROUTES", "LAG", "LOST"];
  return [table(head, rows), ...reasons].join("\n");
}

function linkText(link: LinkReport): string {
  const verified = { yes: "verified", no: "not verified", unknown: "not asked yet" }[link.verified];
  const at = link.address === null ? "" : ` ${link.address}`;
  const head = `${link.peer}: ${link.connected ? "up" : "down"}, ${link.direction}${at}, ${verified}, rtt ${rtt(link)}`;
  const why = link.why === null ? [] : [indent(link.why)];
  if (link.routes.length === 0) return [head, ...why, indent("no routes")].join("\n");
  const rows = link.routes.map((route) => [
    route.direction,
    route.tenant,
    route.origin,
    route.policy ?? "-",
    route.kind,
    route.active ? "yes" : "no",
    String(route.lag),
    String(route.lost),
    String(route.position),
    route.subjects.join(" "),
  ]);
  const head2 = ["DIR", "TENANT", "ORIGIN", "POLICY", "KIND", "FLOWS", "LAG", "LOST", "POSITION", "SUBJECTS"];
  return [head, ...why, indent(table(head2, rows, 98)), ...link.routes.flatMap(notes)].join("\n");
}

function notes(route: RouteReport): string[] {
  const name = `${route.direction} ${route.tenant}${route.policy === null ? "" : `/${route.policy}`}`;
  const lines = route.why === null ? [] : [indent(`${name}: ${route.why}`)];
  const { view } = route;
  if (view === null) return lines;
  const counts = `${count(view.forwarded, "event")} forwarded, ${view.redacted} redacted, ${view.denied} denied, ${view.quarantined} quarantined${view.limited === 0 ? "" : `, ${view.limited} over a limit`}`;
  lines.push(indent(`${name}: view ${view.state}, ${counts}`));
  if (view.lastError !== null) lines.push(indent(`${name}: last error: ${view.lastError}`));
  return lines;
}

function rtt(link: LinkReport): string {
  return link.rttMs === null ? "-" : `${link.rttMs < 10 ? link.rttMs.toFixed(1) : Math.round(link.rttMs)}ms`;
}
