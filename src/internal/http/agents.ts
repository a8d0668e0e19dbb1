/**
 * Where a client's connections go: straight to the server, or through the proxy that the environment names.
 *
 * `HTTP_PROXY` is for http, `HTTPS_PROXY` for https, `ALL_PROXY` for what has none of its own, `NO_PROXY` lists hosts
 * that are reached without; a name in lower case comes before the same in upper case, also if it is empty. So do curl
 * and the Python clients.
 */
import * as Fs from "node:fs"
import { type Dispatcher, EnvHttpProxyAgent } from "undici"
import type { Environment } from "../../Rank.ts"
import { failure } from "./exchange.ts"

export interface Agents {
  readonly agentFor: (url: URL) => Dispatcher
  readonly close: () => Promise<void>
}

/** Whom to believe where. What is said of the server itself is not said of others that it refers to. */
export interface Trust {
  readonly origin: string | undefined
  readonly insecure: boolean
  /** A file with the certificates of authorities, instead of those known everywhere. */
  readonly caFile: string | undefined
}

/** Made as they are needed: an address or a file that is none fails the requests that would need it. */
export const agentsOf = (environment: Environment, trust: Trust): Agents => {
  const agents = new Map<string, Dispatcher>()
  let closed = false
  const open = (scheme: string, own: boolean): Dispatcher => {
    const name = scheme === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY"
    const proxy = proxyOf(environment, name) || proxyOf(environment, "ALL_PROXY")
    if (proxy !== "" && !URL.canParse(proxy)) throw failure("proxy", `${name} is not an address`)
    const tls = own ? tlsOf(trust) : undefined
    return new EnvHttpProxyAgent({
      // Empty: none. Undefined would be those of the process, and https without one of its own would take the other.
      httpProxy: scheme === "https:" ? "" : proxy,
      httpsProxy: scheme === "https:" ? proxy : "",
      noProxy: variable(environment, "NO_PROXY"),
      ...(tls === undefined ? {} : { connect: tls, requestTls: tls, proxyTls: tls })
    })
  }
  return {
    agentFor: ({ origin, protocol }) => {
      if (protocol !== "https:" && protocol !== "http:") {
        throw failure("address", "the address does not begin with http:// or https://")
      }
      if (closed) throw failure("closed", "its scope has ended")
      const own = origin === trust.origin
      const key = `${protocol}${own}`
      const agent = agents.get(key) ?? open(protocol, own)
      agents.set(key, agent)
      return agent
    },
    close: async () => {
      closed = true
      await Promise.allSettled(Array.from(agents.values(), (agent) => agent.destroy()))
    }
  }
}

const tlsOf = ({ caFile, insecure }: Trust) => {
  if (insecure) return { rejectUnauthorized: false }
  return caFile === undefined ? undefined : { ca: Fs.readFileSync(caFile, "utf8") }
}

const variable = (environment: Environment, name: string): string =>
  (environment[name.toLowerCase()] ?? environment[name] ?? "").trim()

/** `host:port` is understood as curl does. */
export const proxyOf = (environment: Environment, name: string): string => {
  const text = variable(environment, name)
  return text === "" || /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`
}
