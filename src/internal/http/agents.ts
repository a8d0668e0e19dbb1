/**
 * Where a client's connections go: straight to the server, or through the proxy that the environment names.
 *
 * `HTTP_PROXY` is for http, `HTTPS_PROXY` for https, `ALL_PROXY` for what has none of its own, `NO_PROXY` lists hosts
 * that are reached without; a name in lower case comes before the same in upper case, also if it is empty. So do curl
 * and the Python clients.
 */
import { type Dispatcher, EnvHttpProxyAgent } from "undici"
import type { Environment } from "../../Rank.ts"
import { failure } from "./exchange.ts"

export interface Agents {
  readonly agentFor: (url: URL) => Dispatcher
  readonly close: () => Promise<void>
}

/** Made as they are needed: a proxy's address that is none fails the requests that would go there. */
export const agentsOf = (environment: Environment, insecureOrigin: string | undefined): Agents => {
  const agents = new Map<string, Dispatcher>()
  const open = (scheme: string, insecure: boolean): Dispatcher => {
    const name = scheme === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY"
    const proxy = proxyOf(environment, name) || proxyOf(environment, "ALL_PROXY")
    if (proxy !== "" && !URL.canParse(proxy)) throw failure("proxy", `${name} is not an address`)
    const tls = insecure ? { rejectUnauthorized: false } : undefined
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
      const insecure = origin === insecureOrigin
      const key = `${protocol}${insecure}`
      const agent = agents.get(key) ?? open(protocol, insecure)
      agents.set(key, agent)
      return agent
    },
    close: async () => {
      await Promise.allSettled(Array.from(agents.values(), (agent) => agent.destroy()))
    }
  }
}

const variable = (environment: Environment, name: string): string =>
  (environment[name.toLowerCase()] ?? environment[name] ?? "").trim()

/** `host:port` is understood as curl does. */
export const proxyOf = (environment: Environment, name: string): string => {
  const text = variable(environment, name)
  return text === "" || /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`
}
