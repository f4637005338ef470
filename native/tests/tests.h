#pragma once

namespace throughtime::tests {

void test_cells();
void test_activations();
void test_projection();

}  // namespace throughtime::tests
