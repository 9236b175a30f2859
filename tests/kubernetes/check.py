"""Checks deploy/kubernetes: check.py RENDERER BINARY KUBERNETES_VERSION...

Renders the example overlay, holds every object against the schemas of these versions of Kubernetes
(unknown fields refused), and asks the real binary whether it takes the environment and answers the
probes. `check.py --write-rules` writes the PrometheusRule anew from deploy/prometheus/rules.
"""

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/kubernetes/overlays/example"
RULES = ROOT / "deploy/prometheus/rules/recall-bridge.rules.yml"
PROMETHEUS_RULE = ROOT / "deploy/kubernetes/components/prometheus-operator/prometheus-rule.yaml"
# Checked by the renderer, against the operator's own types.
OPERATOR = "monitoring.coreos.com/v1"


def check(holds, what):
    if not holds:
        sys.exit(f"deploy/kubernetes: {what}")


def prometheus_rule():
    groups = RULES.read_text().partition("\ngroups:\n")[2]
    check(groups, f"{RULES} does not begin with groups")
    head = (
        "# Made from deploy/prometheus/rules by tests/kubernetes/check.py --write-rules.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
        "metadata:\n  name: recall-bridge\nspec:\n  groups:\n"
    )
    return head + "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))


def one(objects, kind, name="recall-bridge"):
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].startswith(name)]
    check(found, f"no {kind} {name}")
    return found[0]


def schemas(objects, version):
    import kubernetes_validate

    for thing in objects:
        if thing["apiVersion"] != OPERATOR:
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.exit(f"{thing['kind']} {thing['metadata']['name']}, Kubernetes {version}: {error.message}")


def the_check_can_fail(objects, version):
    import kubernetes_validate

    wrong = copy.deepcopy(one(objects, "StatefulSet"))
    container = wrong["spec"]["template"]["spec"]["containers"][0]
    container["livenessProb"] = container.pop("livenessProbe")
    try:
        kubernetes_validate.validate(wrong, version, strict=True)
    except kubernetes_validate.ValidationError:
        return
    sys.exit("a mistyped field was not found: the schemas are not strict")


def the_renderer_can_fail(renderer):
    with tempfile.TemporaryDirectory() as home:
        wrong = pathlib.Path(home, "kubernetes")
        shutil.copytree(ROOT / "deploy/kubernetes", wrong)
        monitor = wrong / "components/prometheus-operator/pod-monitor.yaml"
        monitor.write_text(monitor.read_text().replace("interval:", "intervall:"))
        rendered = subprocess.run([renderer, wrong / "overlays/example"], capture_output=True, text=True)
    check(rendered.returncode != 0 and "intervall" in rendered.stderr, "a mistyped field of a PodMonitor was not found")


def environment(objects, container):
    env = dict(one(objects, "ConfigMap")["data"])
    for variable in container["env"]:
        env[variable["name"]] = variable["value"]
    return env


def address(line):
    return json.loads(line)["address"]


def run_for_real(binary, objects, pod, container):
    """The binary takes exactly this environment, and answers what the probes ask."""
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    env = environment(objects, container)
    check(env["BRIDGE_LISTEN"].endswith(f":{ports['webhook']}"), "BRIDGE_LISTEN is not the port webhook")
    check(env["BRIDGE_OPS_LISTEN"].endswith(f":{ports['ops']}"), "BRIDGE_OPS_LISTEN is not the port ops")
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    check(env["BRIDGE_SPOOL_DIR"] in mounts, "the spool directory is no volume")
    check(str(pathlib.Path(env["BRIDGE_APPS_FILE"]).parent) in mounts, "BRIDGE_APPS_FILE is no volume")
    with tempfile.TemporaryDirectory() as home:
        apps = pathlib.Path(home, "apps")
        # The placeholder itself is refused.
        apps.write_bytes((EXAMPLE / "apps.example").read_bytes().replace(b"change-me", b"a-token"))
        env |= {
            "BRIDGE_APPS_FILE": str(apps),
            "BRIDGE_SPOOL_DIR": f"{home}/spool",
            "BRIDGE_LISTEN": "127.0.0.1:0",
            "BRIDGE_OPS_LISTEN": "127.0.0.1:0",
        }
        asked = subprocess.run([binary, "check-config", "--offline"], env=env, capture_output=True, text=True)
        check(asked.returncode == 0, f"check-config does not take the environment:\n{asked.stdout}{asked.stderr}")
        wrong = env | {"BRIDGE_TOPICK": "x"}
        asked = subprocess.run([binary, "check-config", "--offline"], env=wrong, capture_output=True, text=True)
        check(asked.returncode == 78 and "BRIDGE_TOPICK" in asked.stderr, "an unknown variable was not found")
        env |= {"BRIDGE_LOG_FORMAT": "json", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
        bridge = subprocess.Popen([binary, "serve"], env=env, stderr=subprocess.PIPE, text=True)
        try:
            ops = next(address(line) for line in bridge.stderr if "operations listener ready" in line)
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container[probe]["httpGet"]
                check(asked["port"] == "ops", f"{probe} does not ask the operations listener")
                with urllib.request.urlopen(f"http://{ops}{asked['path']}", timeout=10) as answer:
                    check(answer.status == 200, f"{probe}: {answer.status}")
        finally:
            bridge.kill()
            bridge.wait()


def rules_of_the_house(objects, pod, container):
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    check(container["image"].endswith(f":{version}"), f"the example's image is not of version {version}")
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = int(environment(objects, container)["BRIDGE_SHUTDOWN_GRACE_SECONDS"])
    check(pod["terminationGracePeriodSeconds"] >= stop + grace + 10, "terminationGracePeriodSeconds is too short")
    check(not pod["automountServiceAccountToken"] and not pod["enableServiceLinks"], "tokens or links are injected")
    policy = json.dumps(one(objects, "NetworkPolicy"))
    check("169.254.20.10/32" in policy, "the network policy does not let pods ask NodeLocal DNSCache")
    for kind, where in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        labels = one(objects, kind)["spec"][where].get("matchLabels", {})
        check(labels.items() <= one(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items() and labels,
              f"{kind} does not select the pods")


def main():
    if sys.argv[1:] == ["--write-rules"]:
        PROMETHEUS_RULE.write_text(prometheus_rule())
        return
    renderer, binary, *versions = sys.argv[1:]
    check(PROMETHEUS_RULE.read_text() == prometheus_rule(),
          "the PrometheusRule is not that of deploy/prometheus: tests/kubernetes/check.py --write-rules")
    rendered = subprocess.run([renderer, EXAMPLE], stdout=subprocess.PIPE, check=True, text=True).stdout
    the_renderer_can_fail(renderer)
    objects = list(yaml.safe_load_all(rendered))
    for version in versions:
        schemas(objects, version)
        the_check_can_fail(objects, version)
    pod = one(objects, "StatefulSet")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    rules_of_the_house(objects, pod, container)
    run_for_real(os.path.abspath(binary), objects, pod, container)
    kinds = sorted(thing["kind"] for thing in objects)
    print(f"{len(kinds)} objects, Kubernetes {', '.join(versions)}: {', '.join(kinds)}")


if __name__ == "__main__":
    main()
