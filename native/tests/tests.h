#pragma once

namespace throughtime::tests {

void test_cells();
void test_activations();
void test_projection();
void test_pooling();
void test_sharing();
void test_booleans();

}  // namespace throughtime::tests
