/** The site files of the demo, as a person would write them. What they must lead to stands in `scenario.ts`. */
import { SITES, type Site, type Tenant } from "./scenario.ts";

/** Addresses of a site, `host:port`. */
export interface SiteAddresses {
  readonly listen: string;
  readonly leaf: string;
  readonly api: string;
}

export interface SiteFileInput {
  readonly site: Site;
  /** Data folder, relative to the file. */
  readonly data: string;
  readonly addresses: Readonly<Record<Site, SiteAddresses>>;
  /** Public site keys. */
  readonly keys: Readonly<Record<Site, string>>;
  /** Certificates of the sites' CAs, PEM. */
  readonly cas: Readonly<Record<Site, string>>;
  /** Public keys of the apps' users. */
  readonly users: Readonly<Record<Tenant, string>>;
}

/** Who dials whom: a ring. */
export const DIALS: Readonly<Record<Site, Site>> = { berlin: "austin", austin: "tokyo", tokyo: "berlin" };

/** Routes that leave each site natively, or through a view: `<tenant>/<policy>`. */
export const ROUTE_KINDS: Readonly<Record<Site, Readonly<Record<string, "native" | "view">>>> = {
  berlin: { "acme/for-austin": "view", "acme/for-tokyo": "view", "globex/everything": "native" },
  austin: { "acme/open": "native", "globex/everything": "native" },
  tokyo: { "acme/no-advisories": "view", "globex/everything": "native" },
};

/** The other sites. */
export function peersOf(site: Site): Site[] {
  return SITES.filter((one) => one !== site);
}

/** Renders `site.yaml`. */
export function renderSiteFile(input: SiteFileInput): string {
  const { site, addresses } = input;
  const own = addresses[site];
  const peers = peersOf(site);
  return `site: ${site}
data: ${input.data}
server:
  listen: ${own.listen} # apps
  leaf: ${own.leaf} # peers
  linger: 30s
  sync: 1s # a demo: power loss may lose the last second
api:
  listen: ${own.api}

peers:
${peers.map((peer) => renderPeer(input, peer)).join("\n")}

tenants:
  - tenant: globex
    users:
      - { name: app, key: ${input.users.globex} }
    limits: { storage: 512MiB, maxAge: 1h }
    exports:
      # Subjects alone decide, so no event passes through the sidecar.
      - name: everything
        to: [${peers.join(", ")}]
        rules:
          - { subjects: ["globex.private.>"], deny: true }
          - subjects: ["globex.github.>"]
    imports:
${renderImports("globex", peers)}

  - tenant: acme
    users:
      - { name: app, key: ${input.users.acme} }
    limits: { storage: 512MiB, maxAge: 1h }
    exports:
${ACME_EXPORTS[site]}    imports:
${renderImports("acme", peers)}
`;
}

function renderPeer({ site, addresses, keys, cas }: SiteFileInput, peer: Site): string {
  const dial = DIALS[site] === peer ? `\n    dial: tls://${addresses[peer].leaf}` : "";
  const ca = cas[peer].trimEnd().replaceAll("\n", "\n      ");
  return `  - name: ${peer}${dial}\n    key: ${keys[peer]}\n    ca: |\n      ${ca}`;
}

function renderImports(tenant: Tenant, peers: readonly Site[]): string {
  return peers
    .map((peer) => `      - { from: ${peer}, subjects: ["${tenant}.github.>"], live: true }`)
    .join("\n");
}

const EMBARGO = `          - name: embargo
            subjects: ["acme.github.>"]
            when: '"x-internal-class" in headers && headers["x-internal-class"] == "restricted"'
            deny: true
`;

const ACME_EXPORTS: Readonly<Record<Site, string>> = {
  berlin: `      # No personal data for austin, and nothing of private repositories.
      - name: for-austin
        to: [austin]
        rules:
${EMBARGO}          - name: private-repositories
            subjects: ["acme.github.>"]
            when: 'has(data.repository) && data.repository.private == true'
            deny: true
          - name: personal-data
            subjects: ["acme.github.>"]
            redact:
              - { path: "$..email", with: mask, keep: domain }
              - { path: "$..organization_billing_email", with: mask, keep: domain }
              - { path: "$..author.name", with: pseudonym }
              - { path: "$..committer.name", with: pseudonym }
              - { path: "$..pusher.name", with: pseudonym }
              - { path: "$..verification.payload", with: remove } # the signed text names the author again
      # tokyo may see the payloads, but none of our own headers.
      - name: for-tokyo
        to: [tokyo]
        rules:
${EMBARGO}          - name: no-internal-headers
            subjects: ["acme.github.>"]
            headers: { drop: ["x-internal-*"] }
`,
  austin: `      - name: open
        to: [berlin, tokyo]
        rules:
          - subjects: ["acme.github.>"]
`,
  tokyo: `      # One view for both peers.
      - name: no-advisories
        to: [berlin, austin]
        rules:
          - name: advisories
            subjects: ["acme.github.>"]
            when: 'tokens[2] == "security_advisory"'
            deny: true
          - subjects: ["acme.github.>"]
`,
};
