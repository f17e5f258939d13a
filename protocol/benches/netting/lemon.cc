// LEMON's solvers on an instance that the benchmark has written: `lemon ns|cs FILE` prints CPU nanoseconds and what is cleared.
// Its time is that of solving alone, every edge at the cost 1; reading and building the graph do not count.
#include <lemon/cost_scaling.h>
#include <lemon/network_simplex.h>
#include <lemon/static_graph.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

using Graph = lemon::StaticDigraph;

static int64_t cpu_ns() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

template <class Solver>
static int solve(const Graph &graph, const std::vector<int64_t> &amounts, const std::vector<std::pair<int, int>> &ends) {
    Graph::ArcMap<int64_t> upper(graph), cost(graph, 1);
    Graph::NodeMap<int64_t> supply(graph, 0);
    int64_t total = 0;
    for (size_t i = 0; i < amounts.size(); i++) {
        upper[graph.arc(i)] = amounts[i];
        supply[graph.node(ends[i].first)] += amounts[i];
        supply[graph.node(ends[i].second)] -= amounts[i];
        total += amounts[i];
    }
    Solver solver(graph);
    solver.upperMap(upper).costMap(cost).supplyMap(supply);
    int64_t begun = cpu_ns();
    if (solver.run() != Solver::OPTIMAL) return 1;
    int64_t took = cpu_ns() - begun;
    printf("%lld %lld\n", (long long)took, (long long)(total - solver.template totalCost<int64_t>()));
    return 0;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    FILE *file = fopen(arguments[2], "rb");
    uint64_t head[2];
    if (!file || fread(head, 8, 2, file) != 2) return 2;
    std::vector<std::pair<int, int>> ends(head[1]);
    std::vector<int64_t> amounts(head[1]);
    for (size_t i = 0; i < head[1]; i++) {
        uint32_t pair[2];
        if (fread(pair, 4, 2, file) != 2 || fread(&amounts[i], 8, 1, file) != 1) return 2;
        ends[i] = {int(pair[0]), int(pair[1])};
    }
    fclose(file);
    Graph graph;
    graph.build(int(head[0]), ends.begin(), ends.end());
    if (!strcmp(arguments[1], "ns")) return solve<lemon::NetworkSimplex<Graph, int64_t, int64_t>>(graph, amounts, ends);
    return solve<lemon::CostScaling<Graph, int64_t, int64_t>>(graph, amounts, ends);
}
